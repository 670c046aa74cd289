package signer

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// Explain says what is wrong with a message that s does not verify: an answer, or else a request. It tries what
// implementations commonly do otherwise, and names what would have to differ for the signature to match, such
// as "the body has no line break at its end". It gives nothing where the message verifies, and an empty list of
// its own where nothing that it tries matches. What it gives holds no signature and nothing of a key; but for
// whoever may not sign it is an oracle all the same, so it belongs to no HTTP route.
func Explain(s Scheme, m Message, h http.Header, answer bool) (matches []string) {
	verify := Scheme.VerifyRequest
	if answer {
		verify = Scheme.VerifyResponse
	}
	verifies := func(s Scheme, m Message) bool { return verify(s, m, h) == nil }
	if verifies(s, m) {
		return nil
	}
	found := func(what string) {
		if !slices.Contains(matches, what) {
			matches = append(matches, what)
		}
	}
	matches = []string{}
	for _, v := range messageVariants(m) {
		if verifies(s, v.m) {
			found(v.what)
		}
	}
	for _, what := range cutTimes(h, len(m.Body), func(h http.Header) bool { return verify(s, m, h) == nil }) {
		found(what)
	}
	varied, ok := s.(interface {
		variants(http.Header) []schemeVariant
	})
	if !ok {
		return matches
	}
	for _, v := range varied.variants(h) {
		if verifies(v.scheme, m) {
			found(v.what)
		}
	}
	return matches
}

// What is tried of times in seconds, where milliseconds were signed, is bounded: each of a second's costs a signature over the
// whole body.
const (
	maxTimedBody = 64 << 10
	maxTimes     = 4
)

// cutTimes names the fields that hold the signed time without its milliseconds.
func cutTimes(h http.Header, body int, verifies func(http.Header) bool) (list []string) {
	if body > maxTimedBody {
		return nil
	}
	times := 0
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value := h.Get(name)
		if _, err := strconv.ParseUint(value, 10, 64); err != nil || len(value) != len("1769860800") || len(h[name]) != 1 || times == maxTimes {
			continue
		}
		changed := maps.Clone(h)
		times++
		for ms := range 1000 {
			changed[name] = []string{fmt.Sprintf("%s%03d", value, ms)}
			if verifies(changed) {
				list = append(list, name+" is in milliseconds, not in seconds")
				break
			}
		}
	}
	return list
}

// Reason puts an error of VerifyRequest or VerifyResponse into words, without the sentinel's.
func Reason(err error) string {
	switch {
	case err == nil:
		return "the signature matches"
	case errors.Is(err, ErrUnsigned):
		return "it carries no signature"
	case errors.Is(err, ErrBadSignature):
		return "the signature does not match"
	}
	return err.Error()
}
