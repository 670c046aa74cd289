package credentials

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

type stringer struct{ text string }

func (s stringer) String() string { return s.text }

type object struct{ text string }

func (o object) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("in", o.text)
	return enc.AddArray("list", zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
		enc.AppendString(o.text)
		enc.AppendByteString([]byte(o.text))
		if err := enc.AppendReflected(map[string]string{"k": o.text}); err != nil {
			return err
		}
		return enc.AppendArray(zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
			enc.AppendString(o.text)
			return nil
		}))
	}))
}

// Each kind of field that holds text.
func TestLog(t *testing.T) {
	cause := errors.New("refused: " + aKey)
	for name, field := range map[string]zap.Field{
		"string":           zap.String("f", aKey),
		"strings":          zap.Strings("f", []string{"a", aKey}),
		"byte string":      zap.ByteString("f", []byte(aKey)),
		"byte strings":     zap.ByteStrings("f", [][]byte{[]byte(aKey)}),
		"binary":           zap.Binary("f", []byte(aKey)),
		"error":            zap.Error(fmt.Errorf("sending: %w", cause)),
		"joined errors":    zap.Error(errors.Join(cause, cause)),
		"errors":           zap.Errors("f", []error{cause}),
		"stringer":         zap.Stringer("f", stringer{aKey}),
		"stringers":        zap.Stringers("f", []stringer{{aKey}}),
		"reflected struct": zap.Reflect("f", struct{ A string }{aKey}),
		"reflected map":    zap.Any("f", map[string][]string{"A": {aKey}}),
		"header":           zap.Any("f", http.Header{"A": {aKey}}),
		"pointer":          zap.Reflect("f", &struct{ A *struct{ B string } }{&struct{ B string }{aKey}}),
		"bytes within":     zap.Reflect("f", struct{ A []byte }{[]byte(aKey)}),
		"object":           zap.Object("f", object{aKey}),
		"objects":          zap.Objects("f", []object{{aKey}}),
		"dictionary":       zap.Dict("f", zap.String("g", aKey)),
		"inline":           zap.Inline(object{aKey}),
		"namespace":        zap.Dict("f", zap.Namespace("n"), zap.String("g", aKey)),
	} {
		t.Run(name, func(t *testing.T) {
			f := new(Filter)
			f.Add(aKey)
			var out bytes.Buffer
			config := zap.NewProductionEncoderConfig()
			core := zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.AddSync(&out), zapcore.DebugLevel)
			logger := f.Log(zap.New(core))
			logger.Info("as a field", field)
			logger.With(field).Info("added before")
			logger.WithLazy(field).Named("lazily").Debug("added " + aKey)
			lines := out.String()
			// What the test looks for is written by hand: the key, and base64 of it as zap writes bytes.
			for _, trace := range []string{aKey[:12], aKey[len(aKey)-12:], "c2stcHJval85Zl"} {
				if strings.Contains(lines, trace) {
					t.Errorf("%q in %s", trace, lines)
				}
			}
			for line := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
				if !strings.Contains(line, Hidden) && !strings.Contains(line, "W2NyZWRlbnRpYWxd") { // base64 of it
					t.Errorf("nothing is hidden in %s", line)
				}
			}
		})
	}
}

func TestLogKeepsTheLevel(t *testing.T) {
	var out bytes.Buffer
	logger := new(Filter).Log(zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zapcore.WarnLevel)))
	logger.Info("quiet")
	if logger.Warn("said", zap.Int("n", 1), zap.Any("public", []int{1, 2})); !strings.Contains(out.String(), `"n":1,"public":[1,2]`) || strings.Contains(out.String(), "quiet") {
		t.Error(out.String())
	}
}
