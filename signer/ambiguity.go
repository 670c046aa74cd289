package signer

import (
	"errors"
	"fmt"
	"slices"
)

// A layout is unambiguous where its string comes apart in one way only. Parts of a fixed length, and texts, come
// apart by counting. A part of any length ends where a text begins with, or holds, a byte that the part cannot
// hold; parts of a fixed length in between are counted back from there. Parts are taken off from the left, and
// then from the right; at most one, such as the body, may be left over, since it is the rest.

// ambiguous gives the two parts between which t does not come apart, if there are any.
func (t template) ambiguous(separated func(part) alphabet) (first, second *part) {
	left := 0
	for left < len(t) && t.ends(left, 1, separated) {
		left++
	}
	right := len(t) - 1
	for right > left && t.ends(right, -1, separated) {
		right--
	}
	if left >= right {
		return nil, nil
	}
	// Between the two there may be texts, which separate nothing.
	next := left + 1
	for next < right && placeholderOf(t[next]).size > 0 {
		next++
	}
	return &t[left], &t[next]
}

// placeholderOf gives p's size and alphabet; a text's are its own.
func placeholderOf(p part) placeholder {
	if p.kind == partText {
		return placeholder{size: p.size, alphabet: alphabetOf(p.text)}
	}
	of := placeholders[p.kind]
	of.size = p.size
	return of
}

// ends reports whether part i, seen in a direction, has one place only where it can end.
func (t template) ends(i, direction int, separated func(part) alphabet) bool {
	if placeholderOf(t[i]).size > 0 {
		return true
	}
	own := separated(t[i])
	for k := i + direction; k >= 0 && k < len(t); k += direction {
		p := placeholderOf(t[k])
		switch {
		case direction > 0 && (t[k].kind == partURI || t[k].kind == partPath):
			return !own['/'] // with which every target begins
		case p.size == 0:
			return false
		case t[k].kind == partText && !own.holds(t[k].text):
			return true
		case !p.alphabet.within(&own):
			return false
		}
	}
	return true
}

// alphabetOfPart is what p may hold. A client id holds whatever its vendor gives out, but for the byte that
// follows it, which NewLayout checks.
func (t template) alphabetOfPart(p part) alphabet {
	a := placeholderOf(p).alphabet
	if p.kind == partClientID {
		a = a.without(t.aroundClientID())
	}
	return a
}

// aroundClientID are the bytes beside each client id, which no client id may hold.
func (t template) aroundClientID() (separators string) {
	for i, p := range t {
		if p.kind != partClientID {
			continue
		}
		if i > 0 && t[i-1].kind == partText {
			separators += t[i-1].text[len(t[i-1].text)-1:]
		}
		if i+1 < len(t) && t[i+1].kind == partText {
			separators += t[i+1].text[:1]
		}
	}
	return separators
}

var errAmbiguous = errors.New("two different messages could have one string")

// checkUnambiguous refuses a template whose string two different messages could share.
func (t template) checkUnambiguous(option string) error {
	if first, second := t.ambiguous(t.alphabetOfPart); first != nil {
		return fmt.Errorf("%s: %w, since nothing tells where %v ends and %v begins; put a separator between them that neither can hold, such as \\n, "+
			"or allow_ambiguous where the vendor's contract has none", option, errAmbiguous, first, second)
	}
	return nil
}

// kindsWhere lists the kinds of which is holds.
func kindsWhere(is func(partKind) bool) (kinds []partKind) {
	for k := range partKinds {
		if is(k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// uncovered says what of a request t does not sign: requests that differ in nothing else have one signature.
func (t template) uncovered() (warnings []string) {
	for _, c := range []struct {
		what, effect string
		kinds        []partKind
	}{
		{"the method", "a signature for one method is good for another", []partKind{partMethod}},
		{"the path", "a signature for one path is good for another", []partKind{partURI, partPath}},
		{"the query", "a signature for one query is good for another", []partKind{partURI, partQuery}},
		{"the body", "a signature for one body is good for another", kindsWhere(func(k partKind) bool { return k == partBody || k.isDigest() })},
		{"the time or a nonce", "a request that is sent again has the same signature", kindsWhere(func(k partKind) bool { return k.isTime() && !k.isDay() || k == partNonce })},
	} {
		if !slices.ContainsFunc(c.kinds, t.has) {
			warnings = append(warnings, fmt.Sprintf("what is signed does not hold %s: %s", c.what, c.effect))
		}
	}
	if t.has(partBodyMD5) || t.has(partBodyMD5Base64) {
		warnings = append(warnings, "what is signed holds the body's MD5: two bodies with one MD5 can be made (RFC 6151), and then have one signature; "+
			"sign {body_sha256} where the contract has it")
	}
	times := kindsWhere(partKind.isTime)
	if slices.ContainsFunc(times, t.has) && !slices.ContainsFunc(times, func(k partKind) bool { return k.hasMillis() && t.has(k) }) && !t.has(partNonce) {
		warnings = append(warnings, "what is signed holds the time in seconds and no nonce: equal requests of one second have the same signature, "+
			"and a receiver that refuses repeated ones takes the second for a replay; sign {time_ms} or {nonce} where the contract has one")
	}
	return warnings
}
