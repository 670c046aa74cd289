package intent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
)

// maxRemembered bounds the file of vectors, in bytes: 10,000 examples of 3,072 dimensions.
const maxRemembered = 128 << 20

// rememberedMagic begins such a file. Then come the dimensions in 32 bits; for each text its SHA-256 and its vector, of 32
// bits a number; and the SHA-256 of all that. Numbers are little endian.
const rememberedMagic = "alipayai vectors 1\n"

// Remembered keeps the vectors of examples in a file, so that only texts that are not in it are embedded. It is for one
// goroutine, and one provider and model.
type Remembered struct {
	file  string
	known map[[sha256.Size]byte][]float32
	// used are the texts of this time, in their order: what is not among them is not saved.
	used [][sha256.Size]byte
	more bool // there are vectors that are not in the file
}

// Remember reads the file. One that is not there, or damaged, remembers nothing.
func Remember(file string) *Remembered {
	r := &Remembered{file: file, known: make(map[[sha256.Size]byte][]float32)}
	f, err := os.Open(file)
	if err != nil {
		return r
	}
	defer f.Close()
	if b, err := io.ReadAll(io.LimitReader(f, maxRemembered+1)); err == nil && len(b) <= maxRemembered {
		r.parse(b)
	}
	return r
}

func (r *Remembered) parse(b []byte) {
	const head = len(rememberedMagic) + 4
	if len(b) < head+sha256.Size || !bytes.HasPrefix(b, []byte(rememberedMagic)) {
		return
	}
	b, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(b); !bytes.Equal(sum, want[:]) {
		return
	}
	dimensions := binary.LittleEndian.Uint32(b[len(rememberedMagic):])
	if dimensions == 0 || dimensions > maxDimensions {
		return
	}
	size := sha256.Size + 4*int(dimensions)
	for b = b[head:]; len(b) >= size; b = b[size:] {
		v := make([]float32, dimensions)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[sha256.Size+4*i:]))
		}
		r.known[[sha256.Size]byte(b)] = v
	}
}

// Embed gives what embed does, which is asked for the texts that are not known.
func (r *Remembered) Embed(embed Embed) Embed {
	return func(ctx context.Context, tenant string, texts []string) ([][]float32, error) {
		var unknown []string
		keys := make([][sha256.Size]byte, len(texts))
		for i, text := range texts {
			keys[i] = sha256.Sum256([]byte(text))
			if r.known[keys[i]] == nil {
				unknown = append(unknown, text)
			}
		}
		if len(unknown) > 0 {
			vectors, err := embed(ctx, tenant, unknown)
			if err != nil {
				return nil, err
			}
			for i, text := range unknown {
				r.known[sha256.Sum256([]byte(text))] = vectors[i]
			}
			r.more = true
		}
		vectors := make([][]float32, len(texts))
		for i, key := range keys {
			vectors[i] = r.known[key]
		}
		r.used = append(r.used, keys...)
		return vectors, nil
	}
}

// Forget forgets what the file had, and what has been embedded since: where vectors differ in their dimensions, say,
// since the provider has another model under the name.
func (r *Remembered) Forget() {
	clear(r.known)
	r.used, r.more = nil, true
}

// Save writes the vectors that have been used to the file, as many as its bound has room for.
func (r *Remembered) Save() error {
	used := r.used
	r.used = nil
	if !r.more || len(used) == 0 {
		return nil
	}
	dimensions := len(r.known[used[0]])
	b := binary.LittleEndian.AppendUint32([]byte(rememberedMagic), uint32(dimensions))
	written := make(map[[sha256.Size]byte]bool, len(used))
	for _, key := range used {
		v := r.known[key]
		if written[key] || len(v) != dimensions {
			continue
		}
		if len(b)+2*sha256.Size+4*dimensions > maxRemembered {
			break
		}
		written[key] = true
		b = append(b, key[:]...)
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	sum := sha256.Sum256(b)
	r.more = false
	return replace(r.file, append(b, sum[:]...))
}

// replace puts b in the file's place at once, so that a crash leaves the old one or the new one.
func replace(file string, b []byte) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}
