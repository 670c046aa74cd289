package calendar

import (
	"cmp"
	"slices"
	"time"
)

// Status is how the keys of a provider are, for an operator. It has nothing of the keys themselves.
type Status struct {
	// Signing is the version that signs.
	Signing int `json:"signing"`
	// RotateEvery is how long a key may be used, and CheckEvery how often the upstream is asked with each version, as
	// 720h0m0s; empty for neither.
	RotateEvery string `json:"rotate_every,omitempty"`
	CheckEvery  string `json:"check_every,omitempty"`
	// Next is what ends first of the key that signs and the client's certificate; null where neither has an end.
	Next *End `json:"next"`
	// CertificateEnds is when the client's certificate ends; absent without one.
	CertificateEnds time.Time `json:"certificate_ends,omitzero"`
	// Keys are the versions that are held, the lowest first.
	Keys []KeyStatus `json:"keys"`
	// Away says that the store does not answer, and this replica goes by what it knows itself.
	Away bool `json:"away,omitempty"`
}

// End is when something has to be replaced.
type End struct {
	// What is the thing, as "key 3".
	What string    `json:"what"`
	At   time.Time `json:"at"`
	// State is fine, expiring or overdue, as the alerts have it.
	State string `json:"state"`
}

// KeyStatus is how one version is.
type KeyStatus struct {
	Version int `json:"version"`
	// Since is from when it has been there, Age for how long, in seconds, and Ends when it is to be replaced; absent
	// where that is not known.
	Since time.Time `json:"since,omitzero"`
	Age   int64     `json:"age_seconds,omitempty"`
	Ends  time.Time `json:"ends,omitzero"`
	State KeyState  `json:"state"`
	// RefusedAt is when the upstream has refused it; absent where it has not, or has taken it since.
	RefusedAt time.Time `json:"refused_at,omitzero"`
	// Last is the last check; null before the first.
	Last *Check `json:"last_check"`
}

// KeyState is what a version is for.
type KeyState string

// The states.
const (
	// Signs: requests are signed with it.
	Signs KeyState = "signs"
	// Ready: it may sign, and another one does.
	Ready KeyState = "ready"
	// Waiting: it signs only after the upstream has taken it.
	Waiting KeyState = "waiting"
	// Refused: it does not sign since the upstream has refused it.
	Refused KeyState = "refused"
)

// Status gives how the keys are.
func (k *Keeper) Status() Status {
	keys, now := k.Held(), k.Now()
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.Version, b.Version) })
	k.mu.Lock()
	r, away := k.record, k.store.Fails
	k.mu.Unlock()
	s := Status{Signing: k.Signing(), CertificateEnds: k.Certificate, Keys: make([]KeyStatus, len(keys)), Away: away}
	if k.RotateEvery > 0 {
		s.RotateEvery = k.RotateEvery.String()
	}
	if k.Every > 0 {
		s.CheckEvery = k.Every.String()
	}
	if d := k.Due(); !d.At.IsZero() {
		s.Next = &End{What: d.What, At: d.At.UTC(), State: d.Level.String()}
	}
	for i, key := range keys {
		s.Keys[i] = k.statusOf(key, r.Keys[key.ID], s.Signing, now)
	}
	return s
}

// statusOf gives how a version is of which that is known.
func (k *Keeper) statusOf(key Key, known Entry, signing int, now time.Time) KeyStatus {
	s := KeyStatus{Version: key.Version, State: Ready, RefusedAt: known.RefusedAt}
	if !key.Since.IsZero() {
		s.Since, s.Age = key.Since.UTC(), int64(now.Sub(key.Since).Seconds())
		if k.RotateEvery > 0 {
			s.Ends = s.Since.Add(k.RotateEvery)
		}
	}
	if !known.Last.At.IsZero() {
		s.Last = &known.Last
	}
	switch {
	case key.Version == signing:
		s.State = Signs
	case k.Activate && !known.Taken:
		s.State = Waiting
	case k.Activate && !known.RefusedAt.IsZero():
		s.State = Refused
	}
	return s
}
