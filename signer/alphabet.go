package signer

// alphabet is a set of bytes.
type alphabet [256]bool

// visible are the bytes of a target: none is a space or a control character.
var visible = func() (a alphabet) {
	for c := range a {
		a[c] = c > ' ' && c != 0x7f
	}
	return a
}()

func alphabetOf(bytes string) alphabet { return alphabet{}.with(bytes) }

func (a alphabet) with(bytes string) alphabet {
	for i := range len(bytes) {
		a[bytes[i]] = true
	}
	return a
}

func (a alphabet) without(bytes string) alphabet {
	for i := range len(bytes) {
		a[bytes[i]] = false
	}
	return a
}

func (a alphabet) complement() alphabet {
	for c := range a {
		a[c] = !a[c]
	}
	return a
}

// holds reports whether every byte of text is in a.
func (a *alphabet) holds(text string) bool { return a.prefix(text) == len(text) }

// prefix is how many bytes of text, from its beginning, are in a.
func (a *alphabet) prefix(text string) int {
	for i := range len(text) {
		if !a[text[i]] {
			return i
		}
	}
	return len(text)
}

// within reports whether b holds all that a holds.
func (a *alphabet) within(b *alphabet) bool {
	for c, in := range a {
		if in && !b[c] {
			return false
		}
	}
	return true
}
