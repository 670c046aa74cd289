package replay

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWhatComesOfAClaim(t *testing.T) {
	long := longAnswer(defaultMaxBytes + 1)
	for name, c := range map[string]struct {
		end   func(context.Context, Claim) error
		err   error
		want  string        // of the same request
		other string        // of another request
		until time.Duration // then the key is free
	}{
		"in flight": {
			func(context.Context, Claim) error { return nil }, nil,
			ErrInFlight.Error(), ErrMismatch.Error(), 10 * time.Minute,
		},
		"left, in its lease": {
			func(ctx context.Context, c Claim) error { return c.Leave(ctx, 30*time.Minute, time.Minute) }, nil,
			ErrInFlight.Error(), ErrMismatch.Error(), 30 * time.Minute,
		},
		"left, after its lease": {
			func(ctx context.Context, c Claim) error { return c.Leave(ctx, 10*time.Minute, time.Hour) }, nil,
			ErrHeld.Error(), ErrMismatch.Error(), time.Hour,
		},
		"left twice": {
			func(ctx context.Context, c Claim) error {
				return errors.Join(c.Leave(ctx, time.Minute, time.Minute), c.Leave(ctx, 10*time.Minute, time.Hour))
			}, nil,
			ErrHeld.Error(), ErrMismatch.Error(), time.Hour,
		},
		"left and extended": {
			func(ctx context.Context, c Claim) error {
				return errors.Join(c.Leave(ctx, time.Minute, time.Hour), c.Extend(ctx, 80*time.Minute, 80*time.Minute))
			}, nil,
			ErrInFlight.Error(), ErrMismatch.Error(), 80 * time.Minute,
		},
		"left and finished": {
			func(ctx context.Context, c Claim) error {
				return errors.Join(c.Leave(ctx, time.Minute, time.Hour), c.Finish(ctx, answerOf("it"), 2*time.Hour))
			}, nil,
			"answer it", ErrMismatch.Error(), 2 * time.Hour,
		},
		"left and released": {
			func(ctx context.Context, c Claim) error {
				return errors.Join(c.Leave(ctx, time.Minute, time.Hour), c.Release(ctx))
			}, nil,
			"claimed", "claimed", 0,
		},
		"served": {
			func(ctx context.Context, c Claim) error { return c.Served(ctx, time.Hour) }, nil,
			ErrNotKept.Error(), ErrMismatch.Error(), time.Hour,
		},
		"finished": {
			func(ctx context.Context, c Claim) error { return c.Finish(ctx, answerOf("it"), time.Hour) }, nil,
			"answer it", ErrMismatch.Error(), time.Hour,
		},
		"finished twice": {
			func(ctx context.Context, c Claim) error {
				return errors.Join(c.Finish(ctx, answerOf("it"), time.Minute), c.Finish(ctx, answerOf("it"), time.Hour))
			}, nil,
			"answer it", ErrMismatch.Error(), time.Hour,
		},
		"held": {
			func(ctx context.Context, c Claim) error { return c.Hold(ctx, time.Hour) }, nil,
			ErrHeld.Error(), ErrMismatch.Error(), time.Hour,
		},
		"released": {
			func(ctx context.Context, c Claim) error { return c.Release(ctx) }, nil,
			"claimed", "claimed", 0,
		},
		"extended after its end": {
			func(ctx context.Context, c Claim) error {
				return errors.Join(c.Finish(ctx, answerOf("it"), time.Hour), c.Extend(ctx, time.Minute, time.Hour))
			}, ErrLost,
			"answer it", ErrMismatch.Error(), time.Hour,
		},
		"held after its end": {
			func(ctx context.Context, c Claim) error {
				return errors.Join(c.Finish(ctx, answerOf("it"), time.Hour), c.Hold(ctx, time.Minute))
			}, ErrLost,
			"answer it", ErrMismatch.Error(), time.Hour,
		},
		"released after its end": {
			func(ctx context.Context, c Claim) error {
				return errors.Join(c.Hold(ctx, time.Hour), c.Release(ctx))
			}, nil,
			ErrHeld.Error(), ErrMismatch.Error(), time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, s stores) {
				claim := mustClaim(t, s, keyOf(1), requestOf(1), 10*time.Minute)
				// The client has left by then.
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := c.end(ctx, claim); !errors.Is(err, c.err) {
					t.Fatalf("the end: %v, want %v", err, c.err)
				}
				if c.until == 0 {
					wantClaim(t, s, keyOf(1), requestOf(2), c.other)
					return
				}
				s.pass(c.until - time.Minute)
				wantClaim(t, s, keyOf(1), requestOf(1), c.want)
				wantClaim(t, s, keyOf(1), requestOf(2), c.other)
				wantClaim(t, s, keyOf(2), requestOf(2), "claimed")
				s.pass(time.Minute)
				wantClaim(t, s, keyOf(1), requestOf(2), "claimed")
			})
		})
	}
	t.Run("finished with too much", func(t *testing.T) {
		o := patientOptions(t, startRedis(t))
		for kind, claims := range map[string]Claims{
			"memory": NewMemoryClaims(newClock().now).Within(8 * defaultMaxBytes),
			"redis":  NewRedisClaims(o),
		} {
			claim := mustClaim(t, claims, keyOf(1), requestOf(1), time.Minute)
			if err := claim.Finish(t.Context(), long, time.Hour); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: %v", kind, err)
			}
			wantClaim(t, claims, keyOf(1), requestOf(1), ErrNotKept.Error())
			wantClaim(t, claims, keyOf(1), requestOf(2), ErrMismatch.Error())
		}
	})
}

func TestFinishedAnswerIsGivenWhole(t *testing.T) {
	eachKind(t, func(t *testing.T, s stores) {
		want := answerOf("it")
		claim := mustClaim(t, s, keyOf(1), requestOf(1), time.Minute)
		if err := claim.Finish(t.Context(), want, time.Hour); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, got, err := s.Claim(t.Context(), tenantOf(keyOf(1)), keyOf(1), requestOf(1), time.Minute); got == nil || !reflect.DeepEqual(*got, want) {
				t.Errorf("given is %+v, want %+v (%v)", got, want, err)
			}
		}
	})
}

func TestLeaseThatHasEnded(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(context.Context, Claim) error
		free string // what then comes of a claim, if no other call had taken the key
		lost error  // if somebody had
	}{
		"extend":  {func(ctx context.Context, c Claim) error { return c.Extend(ctx, time.Hour, time.Hour) }, ErrInFlight.Error(), ErrLost},
		"finish":  {func(ctx context.Context, c Claim) error { return c.Finish(ctx, answerOf("late"), time.Hour) }, "answer late", ErrLost},
		"hold":    {func(ctx context.Context, c Claim) error { return c.Hold(ctx, time.Hour) }, ErrHeld.Error(), ErrLost},
		"release": {func(ctx context.Context, c Claim) error { return c.Release(ctx) }, "claimed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, s stores) {
				late := mustClaim(t, s, keyOf(1), requestOf(1), time.Minute)
				alone := mustClaim(t, s, keyOf(2), requestOf(2), time.Minute)
				s.pass(time.Minute)
				owner := mustClaim(t, s, keyOf(1), requestOf(1), time.Hour)
				if err := c.end(t.Context(), late); !errors.Is(err, c.lost) {
					t.Errorf("with another owner: %v, want %v", err, c.lost)
				}
				wantClaim(t, s, keyOf(1), requestOf(1), ErrInFlight.Error())
				if err := owner.Finish(t.Context(), answerOf("first"), time.Hour); err != nil {
					t.Fatal(err)
				}
				if err := c.end(t.Context(), late); !errors.Is(err, c.lost) {
					t.Errorf("after another's end: %v, want %v", err, c.lost)
				}
				wantClaim(t, s, keyOf(1), requestOf(1), "answer first")

				if err := c.end(t.Context(), alone); err != nil {
					t.Errorf("with no other owner: %v", err)
				}
				wantClaim(t, s, keyOf(2), requestOf(2), c.free)
			})
		})
	}
}

// An owner that was frozen until its lease had ended cannot send any more, whoever has the key by then.
func TestCallThatSleptThroughItsLeaseCannotLeave(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(ctx context.Context, other Claim) error
		then      string // what comes of a claim
	}{
		"another is under way": {func(context.Context, Claim) error { return nil }, ErrInFlight.Error()},
		"another has left":     {func(ctx context.Context, c Claim) error { return c.Leave(ctx, time.Hour, time.Hour) }, ErrInFlight.Error()},
		"another has finished": {func(ctx context.Context, c Claim) error { return c.Finish(ctx, answerOf("it"), time.Hour) }, "answer it"},
		"another is unclear":   {func(ctx context.Context, c Claim) error { return c.Hold(ctx, time.Hour) }, ErrHeld.Error()},
		"another had failed":   {func(ctx context.Context, c Claim) error { return c.Release(ctx) }, "claimed"},
		"the key is free":      {nil, "claimed"},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, s stores) {
				frozen := mustClaim(t, s, keyOf(1), requestOf(1), time.Minute)
				s.pass(time.Minute)
				if c.meanwhile != nil {
					if err := c.meanwhile(t.Context(), mustClaim(t, s, keyOf(1), requestOf(1), time.Hour)); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					if err := frozen.Leave(t.Context(), time.Minute, time.Hour); !errors.Is(err, ErrLost) {
						t.Errorf("it may leave: %v", err)
					}
				}
				wantClaim(t, s, keyOf(1), requestOf(1), c.then)
			})
		})
	}
}

func TestNobodyClaimsForAClientThatHasLeft(t *testing.T) {
	eachKind(t, func(t *testing.T, s stores) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if claim, answer, err := s.Claim(ctx, tenantOf(keyOf(1)), keyOf(1), requestOf(1), time.Minute); claim != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("what comes of it is %q", outcome(answer, err))
		}
		wantClaim(t, s, keyOf(1), requestOf(1), "claimed")
	})
}

func TestOneOfAHundredOwnsTheKey(t *testing.T) {
	eachKind(t, func(t *testing.T, s stores) {
		for round := range 10 {
			var owners, others atomic.Int32
			var callers sync.WaitGroup
			start := make(chan struct{})
			for range 100 {
				callers.Go(func() {
					<-start
					claim, _, err := s.Claim(t.Context(), tenantOf(keyOf(round)), keyOf(round), requestOf(1), time.Hour)
					switch {
					case claim != nil:
						owners.Add(1)
					case errors.Is(err, ErrInFlight):
						others.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			close(start)
			callers.Wait()
			if owners.Load() != 1 || others.Load() != 99 {
				t.Fatalf("%d own the key, %d see that it is in flight", owners.Load(), others.Load())
			}
		}
	})
}
