package wire

import "bytes"

// Untranslated is a [StreamDecoder] for a client that speaks the format of the stream: the events go on as they came.
type Untranslated struct {
	StreamDecoder
	own     OwnEnder // of the format; nil where it has none
	scratch []byte   // the canonical events of the last one
}

// NewUntranslated makes one that reads by d, in which format is the format's own decoder.
func NewUntranslated(d, format StreamDecoder) *Untranslated {
	own, _ := format.(OwnEnder)
	return &Untranslated{StreamDecoder: d, own: own}
}

// Canonical gives the events of the last one in OpenAI's form, until the next one is decoded.
func (u *Untranslated) Canonical() []byte { return u.scratch }

// Decode implements [StreamDecoder].
func (u *Untranslated) Decode(dst []byte, event Event) ([]byte, Chunk, error) {
	canonical, chunk, err := u.StreamDecoder.Decode(u.scratch[:0], event)
	u.scratch = canonical
	switch {
	case err != nil || chunk.Failure != nil || chunk.Again || event.IsVoid():
	case chunk.Done && bytes.HasPrefix(event.Data, []byte("[DONE]")): // an end of OpenAI's form
		dst = u.ownEnd(dst)
	case u.own != nil:
		dst = u.own.AppendOwn(dst, event)
	default:
		dst = append(dst, event.Raw...)
	}
	return dst, chunk, err
}

// End implements [StreamDecoder].
func (u *Untranslated) End(dst []byte) ([]byte, Chunk, bool) {
	canonical, last, ok := u.StreamDecoder.End(u.scratch[:0])
	u.scratch = canonical
	if ok {
		dst = u.ownEnd(dst)
	}
	return dst, last, ok
}

func (u *Untranslated) ownEnd(dst []byte) []byte {
	if u.own == nil {
		return dst
	}
	return u.own.AppendOwnEnd(dst)
}
