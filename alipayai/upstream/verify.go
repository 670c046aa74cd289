package upstream

import (
	"bytes"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/signer"
)

// Errors of TakeAnswer.
var (
	// ErrBadAnswer is an answer whose signature is wrong, or that is no error
	// and has none where the provider requires one.
	ErrBadAnswer = errors.New("the provider's answer does not carry its valid signature")
	// ErrAnswerTruncated is an answer whose body could not be read to its end.
	ErrAnswerTruncated = errors.New("the connection to the provider broke before its answer was complete")
	// ErrAnswerTooLarge is an answer of more bytes than are read.
	ErrAnswerTooLarge = errors.New("answer is too large")
)

const (
	signatureField   = "Signature"        // of hmac-sha256 and global
	signatureFieldV3 = "Alipay-Signature" // of openapi-v3
)

// maxReport is the largest body, in bytes, that is searched for a failure's
// code: answers that are longer report none.
const maxReport = 16 << 10

// Verifies reports whether answers are looked at at all.
func (p *Provider) Verifies() bool {
	return p.Scheme != nil && p.Profile.Signs() && p.Verify != VerifyOff
}

// VerifyAnswer checks the signature over an answer's whole body. The errors are
// ErrBadAnswer for a wrong signature, and signer.ErrUnsigned for none where
// p.Verify requires one: such an answer may be a failure, since the platform's
// come unsigned from before its signer, and its SDKs take them so
// (alipay-sdk-java-all, v3 ApiClient.verifyResponse). It is no success, and no
// demand for money. A failure whose signature is wrong is not what the platform
// said.
func (p *Provider) VerifyAnswer(req *http.Request, header http.Header, body []byte) error {
	m := signer.Message{Method: req.Method, Target: req.URL.RequestURI(), Body: body}
	err := p.Scheme.VerifyResponse(m, header)
	switch {
	case err == nil && !p.reflects(req, header):
		return nil
	case errors.Is(err, signer.ErrUnsigned):
		if p.Verify == VerifyIfPresent {
			return nil
		}
		return signer.ErrUnsigned
	}
	return ErrBadAnswer
}

// reflects reports whether an answer's signature is its request's own. With
// hmac-sha256 both directions have one layout and one key, so a request that is
// sent back, with its time as the answer's, would verify.
func (p *Provider) reflects(req *http.Request, header http.Header) bool {
	if s := p.Profile.Scheme; s != signer.NameHMAC && s != signer.NameGlobal {
		return false
	}
	sent, err := signer.ParseSignature(req.Header.Get(signatureField))
	if err != nil {
		return false
	}
	got, err := signer.ParseSignature(header.Get(signatureField))
	return err == nil && hmac.Equal(sent.Value, got.Value)
}

// AsksForPayment reports whether an answer is the 402 of agent payments, which says
// in Payment-Needed what the client has to pay. Any other 402 is about the account
// of whoever runs the gateway.
func AsksForPayment(resp *http.Response) bool {
	return resp.StatusCode == http.StatusPaymentRequired && len(resp.Header["Payment-Needed"]) > 0
}

// IsError reports whether an answer with this status is a failure by that alone:
// a 402 may say what has to be paid.
func IsError(status int) bool {
	return status >= http.StatusBadRequest && status != http.StatusPaymentRequired
}

// TakeAnswer takes in the answer to a request that SignRequest made and that
// left at sent: it learns the upstream's time, keeps to a 429, forgets an access
// token that was refused, and checks the signature, as p.Verify says. For that it
// reads the body, up to limit bytes, and leaves it to be read again; redirects, which
// have no signature, and event streams are not verified. What has been verified loses
// its signature, which belongs into no log. The header, the trailer, and the body of
// an error or a redirect, lose what they quote of the credentials of p and of req.
//
// The errors are ErrBadAnswer, ErrAnswerTooLarge, and ErrAnswerTruncated with
// the reason, which is for no client.
func (p *Provider) TakeAnswer(req *http.Request, resp *http.Response, sent time.Time, limit int64) error {
	now := time.Now()
	p.Clock.Learn(resp.Header, sent, now)
	if resp.StatusCode == http.StatusTooManyRequests {
		p.Throttled(now, failure.RetryAfter(resp.Header, now), "")
	}
	mask := p.Credentials.With(func() []string { return SentSecrets(nil, req) })
	if err := p.checkAnswer(req, resp, limit, mask); err != nil {
		return err
	}
	mask.Header(resp.Header)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &trailed{resp.Body, func() { mask.Header(resp.Trailer) }}
	}
	return nil
}

// trailed is a body after which the trailer is there: net/http fills it in at the end.
type trailed struct {
	io.ReadCloser
	ended func()
}

func (b *trailed) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended()
	}
	return n, err
}

// checkAnswer is TakeAnswer but for the header.
func (p *Provider) checkAnswer(req *http.Request, resp *http.Response, limit int64, mask *credentials.Mask) error {
	mayQuote := resp.StatusCode >= http.StatusMultipleChoices
	verifies := p.Verifies() && !IsEventStream(resp.Header) && resp.StatusCode/100 != 3
	if !verifies && !mayQuote {
		p.dropRefused(req, resp.StatusCode, nil)
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	_ = resp.Body.Close()
	if verifies {
		p.dropRefused(req, resp.StatusCode, body)
	} else {
		p.dropRefused(req, resp.StatusCode, nil)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAnswerTruncated, err)
	}
	if int64(len(body)) > limit {
		return ErrAnswerTooLarge
	}
	if verifies {
		if err := p.VerifyAnswer(req, resp.Header, body); err != nil && !(errors.Is(err, signer.ErrUnsigned) && IsError(resp.StatusCode)) {
			return ErrBadAnswer
		}
	}
	if mayQuote {
		if shown := mask.Bytes(body); len(shown) != len(body) || !bytes.Equal(shown, body) {
			body, resp.ContentLength = shown, int64(len(shown))
			resp.Header.Set("Content-Length", strconv.Itoa(len(shown)))
		}
	}
	switch scheme := p.Profile.Scheme; { // an unsigned answer has no such field
	case !verifies:
	case scheme == signer.NameHMAC, scheme == signer.NameGlobal:
		resp.Header.Del(signatureField)
	case scheme == signer.NameOpenAPIV3:
		resp.Header.Del(signatureFieldV3)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// dropRefused forgets the access token of a request whose answer says that it
// was refused. body is nil where it has not been read: the status then decides.
func (p *Provider) dropRefused(req *http.Request, status int, body []byte) {
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if p.Tokens == nil || !ok {
		return
	}
	reported := new(wire.Failure)
	if len(body) <= maxReport {
		if parsed, err := wire.ParseBody(body, wire.Limits{}); err == nil && parsed.Failure != nil {
			reported = parsed.Failure
		}
	}
	if _, class := failure.Classify(status, reported, nil); class == failure.RefreshToken {
		p.Tokens.Drop(token)
	}
}

// DropToken drops the token that f was refused with, and reports whether
// another one may help.
func (p *Provider) DropToken(f *failure.Failure) bool {
	if p.Tokens == nil || f.Token == "" {
		return false
	}
	p.Tokens.Drop(f.Token)
	return true
}
