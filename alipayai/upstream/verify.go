package upstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/signer"
)

var (
	// ErrBadAnswer is an answer whose signature is wrong, or that is no error
	// and has none where the provider requires one.
	ErrBadAnswer = errors.New("the provider's answer does not carry its valid signature")
	// ErrAnswerTooLarge is an answer of more bytes than are read.
	ErrAnswerTooLarge = errors.New("answer is too large")
)

// maxReport is the largest body, in bytes, that is searched for a failure's
// code: answers that are longer report none.
const maxReport = 16 << 10

// verifies reports whether answers are looked at at all.
func (p *Provider) verifies() bool {
	return p.Scheme != nil && p.Profile.Signs() && p.Verify != VerifyOff
}

// verifies reports whether the answer is looked at: a stream carries no signature.
func (x *Exchange) verifies() bool {
	return x.provider.verifies() && !IsEventStream(x.Response.Header)
}

// Verify checks the signature over an answer's whole body, where that is looked at.
// The errors are ErrBadAnswer for a wrong signature, and signer.ErrUnsigned for none
// where the provider's Verify requires one: see Unverified.
func (x *Exchange) Verify(body []byte) error {
	if !x.verifies() {
		return nil
	}
	p, header := x.provider, x.Response.Header
	m := signer.Message{Method: x.Request.Method, Target: x.Request.URL.RequestURI(), Body: body, Time: p.Clock.At(x.now())}
	err := p.Scheme.VerifyResponse(m, header)
	switch {
	case err == nil && !p.Scheme.Reflects(x.Request.Header, header):
		return nil
	case errors.Is(err, signer.ErrUnsigned):
		if p.Verify == VerifyIfPresent {
			return nil
		}
		return signer.ErrUnsigned
	}
	return ErrBadAnswer
}

// Unverified makes the failure of an answer that Verify has an error for; nil where
// it may be taken all the same. The platform's failures come unsigned from before
// its signer, and its SDKs take them so (alipay-sdk-java-all, v3
// ApiClient.verifyResponse). That is no success, and no demand for money. A failure
// whose signature is wrong is not what the platform said.
func Unverified(err error, failed bool) *failure.Failure {
	if err == nil || failed && errors.Is(err, signer.ErrUnsigned) {
		return nil
	}
	return failure.BadAnswer(failure.CodeBadSignature, ErrBadAnswer.Error())
}

// AsksForPayment reports whether an answer is the 402 of agent payments, which says
// in Payment-Needed what the client has to pay. Any other 402 is about the account
// of whoever runs the gateway.
func AsksForPayment(resp *http.Response) bool {
	return resp.StatusCode == http.StatusPaymentRequired && strings.TrimSpace(resp.Header.Get("Payment-Needed")) != ""
}

// isError reports whether an answer with this status is a failure by that alone:
// a 402 may say what has to be paid.
func isError(status int) bool {
	return status >= http.StatusBadRequest && status != http.StatusPaymentRequired
}

// PassOn takes in an answer that goes on as it is. It keeps to what the answer says
// of throttling, forgets an access token that was refused, and checks the signature,
// as the provider's Verify says. For that it reads the body, up to limit bytes, inflated
// where a proxy has compressed it, and leaves it to be read again; redirects, which have no signature, and event streams
// are not verified. What has been verified loses its signature, which belongs into
// no log, unless keepSignature says that the client verifies it too. The header, the
// trailer, and the body of an error or a redirect, lose the credentials of the
// provider and of the request.
func (x *Exchange) PassOn(limit int64, keepSignature bool) *failure.Failure {
	resp, mask := x.Response, x.mask()
	mayLeak := resp.StatusCode >= http.StatusMultipleChoices
	verifies := x.verifies() && resp.StatusCode/100 != 3
	var body []byte
	var err error
	if verifies || mayLeak {
		x.Inflate()
		body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
		_ = resp.Body.Close()
	}
	if verifies {
		x.apply(body, mask)
	} else {
		x.apply(nil, mask)
	}
	if err == nil && int64(len(body)) > limit {
		err = ErrAnswerTooLarge
	}
	if err != nil {
		return x.Broken(err)
	}
	if verifies {
		if f := Unverified(x.Verify(body), isError(resp.StatusCode)); f != nil {
			return f
		}
		if !keepSignature {
			resp.Header.Del(x.provider.Scheme.AnswerField()) // an unsigned answer has no such field
		}
	}
	if mayLeak {
		if shown := mask.Bytes(body); len(shown) != len(body) || !bytes.Equal(shown, body) {
			body, resp.ContentLength = shown, int64(len(shown))
			resp.Header.Set("Content-Length", strconv.Itoa(len(shown)))
		}
	}
	if verifies || mayLeak {
		resp.Body = io.NopCloser(bytes.NewReader(body))
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

// apply does what follows from the failure that an answer reports, if it does. body is nil where it
// has not been read: the status then decides.
func (x *Exchange) apply(body []byte, mask *credentials.Mask) {
	var reported *wire.Failure
	if len(body) <= maxReport {
		if _, parsed, err := x.provider.AnswerForm.ParseBody(body, isError(x.Response.StatusCode)); err == nil {
			reported = parsed.Failure
		}
	}
	switch {
	case reported != nil:
	case isError(x.Response.StatusCode):
		reported = new(wire.Failure)
	default:
		return
	}
	if f := x.Failed(reported, mask); f.Class == failure.RefreshToken {
		x.provider.DropToken(f, "", "")
	}
}

// Inflate makes the body of the answer what it was before it was compressed: see [outgoing.Inflate].
func (x *Exchange) Inflate() { outgoing.Inflate(x.Response) }

// Unread says in which coding an answer came that Inflate has not read, as the end of a sentence; empty for none.
func (x *Exchange) Unread() string {
	codings := outgoing.Codings(x.Response.Header.Values("Content-Encoding"))
	if len(codings) == 0 {
		return ""
	}
	return ": it came in Content-Encoding " + wire.Visible(codings[len(codings)-1]) + ", which was not asked for"
}
