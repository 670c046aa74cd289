package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// Contract is how an app of format [OpenAI] and the API sign, where they have agreed on a layout of their own. It
// is the caller's code, since the simulator verifies the API's own layout by itself.
type Contract interface {
	// Verify checks a request, whose body has been read. Its error is the reason in the simulator's answer. now
	// is the simulator's clock.
	Verify(r *http.Request, body []byte, now time.Time) error
	// Sign gives the header fields of the answer to r; none where answers are not signed.
	Sign(r *http.Request, body []byte, now time.Time) (http.Header, error)
}

// contractor finds the app of a call that has no Client-Id, as a layout of one's own need not: the one whose
// contract it is that the access token belongs to.
func (c *call) contractor() *app {
	value, _ := c.bearer()
	if owner, _, known := c.srv.tokens.look(value, c.srv.cfg.Now()); known && owner.contract != nil {
		return owner
	}
	return nil
}

// signatory finds the app of a call that neither its Client-Id nor its access token names: the first, by name, whose contract it
// keeps, since such a contract may name the app wherever it likes.
func (c *call) signatory() *app {
	if c.r.Header["Client-Id"] != nil {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(c.srv.apps)) {
		if a := c.srv.apps[id]; a.contract != nil && a.contract.Verify(c.r, c.body, c.wall) == nil {
			return a
		}
	}
	return nil
}

// verifyContract does for an app with a contract what verifySignature does.
func (c *call) verifyContract() (code, reason string) {
	if err := c.app.contract.Verify(c.r, c.body, c.wall); err != nil {
		return codeInvalidSignature, err.Error()
	}
	c.kept = true
	return "", ""
}

// signContract signs an answer to a request that has kept the contract.
func (c *call) signContract(body []byte) {
	if !c.kept {
		return
	}
	if c.plan.badSignature {
		body = append(slices.Clip(body), ' ')
	}
	fields, err := c.app.contract.Sign(c.r, body, c.wall)
	if err != nil {
		return // unsigned, which a gateway that verifies answers refuses
	}
	maps.Copy(c.w.Header(), fields)
}
