package upstream

import (
	"bytes"
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
	case err == nil && !p.Scheme.Reflects(req.Header, header):
		return nil
	case errors.Is(err, signer.ErrUnsigned):
		if p.Verify == VerifyIfPresent {
			return nil
		}
		return signer.ErrUnsigned
	}
	return ErrBadAnswer
}

// IsError reports whether an answer with this status is a failure by that alone:
// a 402 says what has to be paid.
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
		p.Throttled(now, failure.RetryAfter(resp.Header, now))
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
	if verifies {
		resp.Header.Del(p.Scheme.AnswerField()) // an unsigned answer has no such field
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
