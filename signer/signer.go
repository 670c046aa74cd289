package signer

import (
	"errors"
	"net/http"
	"time"
)

// Message is the exact HTTP message that a scheme signs or verifies.
type Message struct {
	// Method as it stands on the request line, e.g. "POST".
	Method string
	// Target is the encoded path and query exactly as sent, without scheme and host, e.g. "/v1/models?a=%20".
	Target string
	// Body holds the exact bytes of the body, after any content encoding is undone; nil for none.
	Body []byte
	// Header of the message: openapi-v3 reads its Content-Type, and a layout of one's own the fields that it signs.
	// Other schemes look at none.
	Header http.Header
	// Time that the signature carries, to the precision of the scheme (a millisecond, or a second).
	// Sign and Canonical need it; the verifiers read theirs from the message.
	Time time.Time
	// Nonce makes a signature of openapi-v3, or of a layout with {nonce}, unique. Other schemes have none.
	Nonce string
	// AppAuthToken is the merchant's token of the Open Platform schemes; it overrides the scheme's own.
	AppAuthToken string
	// ExpiredSeconds is how long openapi-v3's platform takes the signature, as the part expired_seconds of the
	// Authorization; 0 leaves it out, for the platform's own time. Other schemes have none.
	ExpiredSeconds int
	// Room is what Sign may put its fields into, to spare an allocation; nil for none.
	Room []Field
}

// Field is a header field. Name is in canonical form, so it may index an [http.Header] directly.
type Field struct{ Name, Value string }

// Signed is what Sign adds to a message, and what is to be sent.
type Signed struct {
	// Fields replace the request's header fields of the same names.
	Fields []Field
	// Target to send. It differs from Message.Target for openapi-v2 only, which signs in the query.
	Target string
	// Body to send. It differs from Message.Body for openapi-v2 only, and only where that body held
	// parameters that the scheme sets itself.
	Body []byte
	// KeyVersion is the version of the key that signed; 0 where nothing is signed.
	KeyVersion int
}

// Scheme signs requests and verifies messages. Implementations are immutable apart from their key rings
// and safe for concurrent use. They keep no copy of a message and never write to Message.Body.
type Scheme interface {
	// Sign signs m with the newest key. It fails when m cannot be signed unambiguously or no key is held.
	Sign(m Message) (Signed, error)
	// Canonical returns the string that Sign signs for m, for inspection; ErrNoCanonical where there is none.
	Canonical(m Message) (string, error)
	// VerifyRequest does what the server does with a received request: it reads time and nonce from h (for
	// openapi-v2 from the parameters) and checks the signature with every key held. Whether the time is
	// recent is for the caller to judge.
	VerifyRequest(m Message, h http.Header) error
	// VerifyResponse verifies an answer: m.Body is the response's raw body, m.Method and m.Target are those
	// of the request as sent, h is the response's header. ErrUnsigned when the response carries no signature.
	VerifyResponse(m Message, h http.Header) error
	// Reflects reports whether an answer carries the signature of its own request. Where both directions have
	// one layout and one key, a request that is sent back, with its time as the answer's, verifies.
	Reflects(request, answer http.Header) bool
	// AnswerField names the header field that holds an answer's signature, in canonical form; empty where
	// none does.
	AnswerField() string
	// SentSignature gives the text of the signature in the header fields that Sign made, where they hold other
	// things besides that are no secret; empty where they are not like that.
	SentSignature(h http.Header) string
	// Traits says what else the scheme asks of those who send by it.
	Traits() Traits
}

// Traits are what a scheme asks, or lacks, beyond what its [Kind] says. That is a [Layout]'s, whose words are those of a
// configuration: a vendor's scheme has none.
type Traits struct {
	// Declared: a configuration declares it, in its own words.
	Declared bool
	// Nonce: Message.Nonce must be set for Sign.
	Nonce bool
	// IgnoresAnswers: it does not say how answers are signed.
	IgnoresAnswers bool
	// Headers names the header fields that Sign gives, and SignedHeaders those whose values are signed, in canonical form.
	Headers, SignedHeaders []string
	// Warnings says which requests have one signature although they differ, such as in what is not signed at all. That
	// may be how the vendor wants it.
	Warnings []string
}

// ofVendor is what all schemes of vendors have in common.
type ofVendor struct{}

// SentSignature implements Scheme: what their fields hold is known by its name.
func (ofVendor) SentSignature(http.Header) string { return "" }

// Traits implements Scheme.
func (ofVendor) Traits() Traits { return Traits{} }

// Errors that callers tell apart with errors.Is. None carries a secret, a signature or a payload.
var (
	// ErrNoCanonical: the scheme presents a credential and signs nothing.
	ErrNoCanonical = errors.New("the scheme has no canonical string")
	// ErrUnsigned: the message carries no signature, or the scheme knows none for it.
	ErrUnsigned = errors.New("message is not signed")
	// ErrBadSignature: the signature or credential does not match the message.
	ErrBadSignature = errors.New("signature does not match")
	// ErrUnknownKeyVersion: the signature names a key version that the ring does not hold.
	ErrUnknownKeyVersion = errors.New("unknown key version")
	// ErrWrongIdentity: the message names another client, app, certificate or kind of signature than the scheme's.
	ErrWrongIdentity = errors.New("message names another identity")
	// ErrMalformed: a message, or a field of one, is not in the form that the layout demands.
	ErrMalformed = errors.New("malformed message")
	// ErrNoKeys: no key is held for what is asked.
	ErrNoKeys = errors.New("no keys")
	// ErrKeyTooShort: an HMAC secret of less than MinSecretSize bytes or an RSA key of less than MinRSABits bits.
	ErrKeyTooShort = errors.New("key is too short")
	// ErrKeyType: a key of another kind than the scheme uses.
	ErrKeyType = errors.New("wrong kind of key")
	// ErrKeyFormat: the text is no key at all.
	ErrKeyFormat = errors.New("malformed key")
)
