package translate

import "github.com/go-json-experiment/json/jsontext"

// details are the reasoning_details of a stream: reasoning in a list of parts, which MiniMax has under no other name
// (https://github.com/archestra-ai/archestra/pull/6834), and OpenRouter beside reasoning. It documents them as what is new, and
// MiniMax as all that there is so far (https://platform.minimax.io/docs/api-reference/text-openai-api, https://github.com/can1357/oh-my-pi/pull/2434).
type details struct {
	// told is how long what has been told is, as written, and sum a checksum of it: so it need not be kept.
	told int
	sum  uint64
	// elsewhere says that the reasoning has come under another name.
	elsewhere bool
}

// leastRepeated is how much a part has to repeat, in bytes, to be taken for all that there is so far. Less is often said twice.
const leastRepeated = 8

// readDetails reads the parts' texts and summaries, as one text; nil for none.
func (c *Chunk) readDetails(dec *Decoder) (text jsontext.Value, err error) {
	err = dec.Array(func(int) error {
		return dec.Object(func(name string) error {
			switch name {
			case "text", "summary":
				return c.parts(dec, &text)
			}
			return dec.Skip()
		})
	})
	return text, err
}

// since gives what a text of details adds to what has been told; nil for nothing.
func (d *details) since(text jsontext.Value) jsontext.Value {
	said := Characters(text)
	if d.told >= leastRepeated && len(said) >= d.told && checksum(noSum, said[:d.told]) == d.sum {
		said = said[d.told:]
	}
	if len(said) == 0 {
		return nil
	}
	if d.told == 0 {
		d.sum = noSum
	}
	d.told += len(said)
	d.sum = checksum(d.sum, said)
	return append(append(append(make(jsontext.Value, 0, len(said)+len(`""`)), '"'), said...), '"')
}

// noSum is the checksum of nothing.
const noSum = 14695981039346656037

// checksum continues one with more bytes, as FNV-1a does.
func checksum(sum uint64, more []byte) uint64 {
	for _, b := range more {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	return sum
}
