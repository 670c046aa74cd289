package consent

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

const (
	// refreshKept is how long a consent is kept whose refresh token has an end that is not known.
	refreshKept = 90 * 24 * time.Hour
	// withdrawnKept is how long it is kept that a consent was withdrawn: longer than any replica goes by
	// what it has read before.
	withdrawnKept = time.Hour
)

// record is one user's consent as it is kept.
type record struct {
	// ID is another one for each consent, of the same user too; empty for one that was withdrawn.
	ID      string    `json:"id,omitempty"`
	Granted time.Time `json:"granted,omitzero"`
	Scope   string    `json:"scope,omitempty"`

	Access        string    `json:"access,omitempty"`
	Refresh       string    `json:"refresh,omitempty"`
	Issued        time.Time `json:"issued,omitzero"`
	Expiry        time.Time `json:"expiry,omitzero"`
	RefreshExpiry time.Time `json:"refresh_expiry,omitzero"`
	// Dropped says that the provider has refused Access.
	Dropped bool `json:"dropped,omitempty"`
}

// token gives what calls may use; without Access if that was dropped.
func (r *record) token() token.Token {
	t := token.Token{Access: r.Access, Refresh: r.Refresh, Issued: r.Issued, Expiry: r.Expiry, RefreshExpiry: r.RefreshExpiry}
	if r.Dropped {
		t.Access = ""
	}
	return t
}

// set puts a token in the place of the one before. An endpoint that does not say when a refresh token ends
// has said so before.
func (r *record) set(t token.Token) {
	if t.RefreshExpiry.IsZero() && t.Refresh == r.Refresh {
		t.RefreshExpiry = r.RefreshExpiry
	}
	r.Access, r.Refresh, r.Issued, r.Expiry, r.RefreshExpiry, r.Dropped = t.Access, t.Refresh, t.Issued, t.Expiry, t.RefreshExpiry, false
}

// ends is when nothing of it is good any more.
func (r *record) ends() time.Time {
	switch {
	case r.Refresh == "":
		return r.Expiry
	case r.RefreshExpiry.IsZero():
		return r.Expiry.Add(refreshKept)
	case r.RefreshExpiry.After(r.Expiry):
		return r.RefreshExpiry
	default:
		return r.Expiry
	}
}

// live reports whether there is a consent that a call may go by.
func (r *record) live(now time.Time) bool {
	return r.ID != "" && now.Before(r.ends()) && (r.Refresh != "" || !r.Dropped)
}

// renewable reports whether there may be another access token.
func (r *record) renewable(now time.Time) bool {
	return r.live(now) && r.Refresh != "" && (r.RefreshExpiry.IsZero() || now.Before(r.RefreshExpiry))
}

// load gives what is kept, as it is kept too: nil for nothing. What another encryption_key has sealed counts as no
// consent, so that the user can give another one in its place, or withdraw it.
func (c *Consents) load(ctx context.Context, key string) (r record, sealed []byte, err error) {
	if sealed, err = c.Store.Get(ctx, key); err != nil || sealed == nil {
		return record{}, nil, err
	}
	text, err := c.Seal.Open(place(key), sealed)
	if err != nil || json.Unmarshal(text, &r) != nil {
		return record{}, sealed, nil
	}
	return r, sealed, nil
}

// change replaces what is kept by what edit makes of it, unless edit says not to.
func (c *Consents) change(ctx context.Context, key string, edit func(*record) bool) error {
	for {
		r, old, err := c.load(ctx, key)
		if err != nil {
			return err
		}
		if !edit(&r) {
			return nil
		}
		life := r.ends().Sub(c.Now())
		if r.ID == "" {
			life = withdrawnKept
		}
		done, err := c.Store.Replace(ctx, key, old, c.seal(key, &r), life)
		if err != nil || done {
			return err
		}
	}
}

func (c *Consents) seal(key string, r *record) []byte { return sealJSON(c.Seal, place(key), r) }

// place is the associated data of a record: it opens as that user's only.
func place(key string) string { return "consent " + key }

func sealJSON(s *seal.Seal, place string, value any) []byte {
	var text bytes.Buffer
	to := json.NewEncoder(&text)
	to.SetEscapeHTML(false) // which makes six bytes of one
	if err := to.Encode(value); err != nil {
		panic(err) // strings and times of this era always marshal
	}
	return s.Seal(place, text.Bytes())
}

// share is one consent as replicas have its token in common.
type share struct {
	c   *Consents
	key string
	id  string
	// lease is who renews it.
	lease Lease
}

// Lease implements [token.Share].
func (s share) Lease(ctx context.Context, life time.Duration) (release func(), ok bool, err error) {
	release, ok, err = s.lease.Take(ctx, life)
	return release, ok, shareError(err)
}

// Load implements [token.Share].
func (s share) Load(ctx context.Context) (token.Token, error) {
	r, _, err := s.c.load(ctx, s.key)
	switch {
	case err != nil:
		return token.Token{}, shareError(err)
	case r.ID != s.id:
		return token.Token{}, errOver
	}
	return r.token(), nil
}

// Store implements [token.Share]. What belongs to a consent that is over is not kept.
func (s share) Store(ctx context.Context, t token.Token) error {
	return shareError(s.c.change(ctx, s.key, func(r *record) bool {
		if r.ID != s.id || t.Issued.Before(r.Issued) {
			return false
		}
		r.set(t)
		return true
	}))
}

// Drop implements [token.Share].
func (s share) Drop(ctx context.Context, access string) error {
	return shareError(s.c.change(ctx, s.key, func(r *record) bool {
		if r.ID != s.id || r.Access != access || r.Dropped {
			return false
		}
		r.Dropped = true
		return true
	}))
}

// stored is the [token.RefreshStore] of a consent: its share holds the refresh token as well.
type stored struct{}

// Load implements [token.RefreshStore].
func (stored) Load(context.Context) (token.Token, error) { return token.Token{}, nil }

// Store implements [token.RefreshStore].
func (stored) Store(context.Context, token.Token) error { return nil }

// Lock implements [token.RefreshStore]: who has the lease has it.
func (stored) Lock(context.Context) (unlock func(), err error) { return func() {}, nil }
