package alipayai

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/caddy-alipayai/gateway/signer"
)

// ErrBadAnswer is an answer whose signature is wrong, or missing where the
// provider requires one.
var ErrBadAnswer = errors.New("the provider's answer does not carry its valid signature")

// verifies reports whether answers are looked at at all.
func (p *Provider) verifies() bool {
	return p.Scheme != nil && p.Profile.Signs() && p.Verify != VerifyOff
}

// verify checks the signature over an answer's whole body, as p.Verify says.
func (p *Provider) verify(req *http.Request, header http.Header, body []byte) error {
	m := signer.Message{Method: req.Method, Target: req.URL.RequestURI(), Body: body}
	err := p.Scheme.VerifyResponse(m, header)
	if err == nil || errors.Is(err, signer.ErrUnsigned) && p.Verify == VerifyIfPresent {
		return nil
	}
	return ErrBadAnswer
}

// VerifyAnswer checks the signature of the answer to a request that
// SignRequest made, as p.Verify says. It reads the body, up to limit bytes,
// and leaves it to be read again; event streams are left alone. What has been
// verified loses its signature, which belongs into no log.
func (p *Provider) VerifyAnswer(req *http.Request, resp *http.Response, limit int64) error {
	if !p.verifies() || isEventStream(resp.Header) {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(body)) > limit {
		return errTooLarge
	}
	if err := p.verify(req, resp.Header, body); err != nil {
		return err
	}
	resp.Header.Del("Signature")
	resp.Header.Del("Alipay-Signature")
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
