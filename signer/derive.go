package signer

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// Keys that are derived for a day and a service, as in AWS's Signature Version 4 ("Create a derived signing key"), Tencent
// Cloud's TC3-HMAC-SHA256 and Volcengine's, leave the secret out of the reach of the machines that verify.

// derivedKey is a key, and what it was derived by.
type derivedKey struct {
	by  string
	key *HMACKey
}

// maxDerive bounds the steps of a key.
const maxDerive = 8

// buildDerive reads the steps.
func (l *Layout) buildDerive(steps []string) error {
	if len(steps) == 0 {
		return nil
	}
	if len(steps) == 1 || len(steps) > maxDerive {
		return fmt.Errorf("derive: needs what stands before the secret, if only \"\", and from 1 to %d steps, such as derive TC3 {time_date} hunyuan tc3_request", maxDerive-1)
	}
	l.derivePrefix = steps[0]
	for i, text := range steps[1:] {
		step, err := l.forms.parse(fmt.Sprintf("derive: step %d", i+1), text, func(p placeholder) bool {
			return p.told && p.name != "nonce" && p.name != placeholders[partHeader].name
		})
		if err != nil {
			return err
		}
		l.derive = append(l.derive, step)
	}
	return nil
}

// derived gives the key that signs what v are the values of.
func (l *Layout) derived(key *HMACKey, v *values) (*HMACKey, error) {
	if l.derive == nil {
		return key, nil
	}
	if v.ms == 0 && l.derivesByTime() {
		return nil, fmt.Errorf("%w: the key is that of a day, and nothing says which", ErrMalformed)
	}
	by := fmt.Appendf(nil, "%d %q", l.forms.hash, l.derivePrefix)
	for _, step := range l.derive {
		text := step.text(v)
		by = append(fmt.Appendf(by, "%d:", len(text)), text...)
	}
	if last := key.last.Load(); last != nil && last.by == string(by) {
		return last.key, nil
	}
	secret := append([]byte(l.derivePrefix), key.secret...)
	for _, step := range l.derive {
		h := hmac.New(l.forms.hash.new(), secret)
		h.Write([]byte(step.text(v)))
		secret = h.Sum(nil)
	}
	derived := NewHMACKey(secret)
	key.last.Store(&derivedKey{string(by), derived})
	return derived, nil
}

func (l *Layout) derivesByTime() bool {
	for _, step := range l.derive {
		for _, p := range step {
			if p.kind.isTime() {
				return true
			}
		}
	}
	return false
}

// signedPart is part i of what is signed.
func (d *direction) signedPart(i int) *part {
	if i < len(d.content) {
		return &d.content[i]
	}
	return &d.canonical[i-len(d.content)]
}

// hashCanonical works out what {canonical_sha256} stands for.
func (d *direction) hashCanonical(v *values) {
	if len(d.canonical) == 0 {
		return
	}
	h := sha256.New()
	var buf []byte
	for i := range d.canonical {
		if d.canonical[i].kind == partBody {
			h.Write(v.m.Body)
			continue
		}
		buf = v.append(buf[:0], &d.canonical[i])
		h.Write(buf)
	}
	h.Sum(v.canonical[:0])
}

// saidDay is a day that a received message says.
type saidDay struct {
	part part
	text string
}

// checkDays refuses a message whose days are not those of its time.
func (v *values) checkDays() error {
	for _, day := range v.days {
		if v.ms == 0 || string(v.append(nil, &day.part)) != day.text {
			return fmt.Errorf("%w: %v is not the day of its time", ErrMalformed, day.part)
		}
	}
	return nil
}
