package credentials

import (
	"encoding/json"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Log makes a logger hide the secrets that f knows, in messages and in fields of
// every kind, also those that are added later.
func (f *Filter) Log(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return filteredCore{core, f} }))
}

func (f *Filter) object(object zapcore.ObjectMarshaler) zapcore.ObjectMarshaler {
	return zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
		return object.MarshalLogObject(filteredObject{enc, f})
	})
}

type filteredCore struct {
	zapcore.Core
	filter *Filter
}

// With implements zapcore.Core.
func (c filteredCore) With(fields []zapcore.Field) zapcore.Core {
	return filteredCore{c.Core.With(c.filter.fields(fields)), c.filter}
}

// Check implements zapcore.Core. What the core below decides is kept, as when it
// samples; but it is this one that writes.
func (c filteredCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Core.Check(entry, nil) == nil {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements zapcore.Core.
func (c filteredCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	entry.Message = c.filter.Text(entry.Message)
	entry.Stack = c.filter.Text(entry.Stack)
	return c.Core.Write(entry, c.filter.fields(fields))
}

// fields gives fields that are filtered when they are encoded, as one.
func (f *Filter) fields(fields []zapcore.Field) []zapcore.Field {
	if len(fields) == 0 {
		return nil
	}
	return []zapcore.Field{zap.Inline(zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
		for _, field := range fields {
			field.AddTo(filteredObject{enc, f})
		}
		return nil
	}))}
}

// filteredObject is an encoder that hides secrets in all that is text.
type filteredObject struct {
	zapcore.ObjectEncoder
	filter *Filter
}

func (e filteredObject) AddString(key, value string) {
	e.ObjectEncoder.AddString(key, e.filter.Text(value))
}

func (e filteredObject) AddByteString(key string, value []byte) {
	e.ObjectEncoder.AddByteString(key, e.filter.With(nil).Bytes(value))
}

func (e filteredObject) AddBinary(key string, value []byte) {
	e.ObjectEncoder.AddBinary(key, e.filter.With(nil).Bytes(value))
}

func (e filteredObject) AddReflected(key string, value any) error {
	if shown, ok := e.filter.reflected(value); ok {
		return e.ObjectEncoder.AddReflected(key, shown)
	}
	return e.ObjectEncoder.AddReflected(key, value)
}

func (e filteredObject) AddObject(key string, object zapcore.ObjectMarshaler) error {
	return e.ObjectEncoder.AddObject(key, e.filter.object(object))
}

func (e filteredObject) AddArray(key string, array zapcore.ArrayMarshaler) error {
	return e.ObjectEncoder.AddArray(key, e.filter.array(array))
}

func (f *Filter) array(array zapcore.ArrayMarshaler) zapcore.ArrayMarshaler {
	return zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
		return array.MarshalLogArray(filteredArray{enc, f})
	})
}

// reflected gives what is shown of a value that would be encoded by reflection,
// if it holds a secret: then its text. That is compared as zap's encoders write it,
// in JSON, which follows pointers.
func (f *Filter) reflected(value any) (shown string, ok bool) {
	text := fmt.Sprintf("%+v", value)
	if encoded, err := json.Marshal(value); err == nil {
		text = string(encoded)
	}
	shown = f.Text(text)
	return shown, shown != text
}

type filteredArray struct {
	zapcore.ArrayEncoder
	filter *Filter
}

func (e filteredArray) AppendString(value string) { e.ArrayEncoder.AppendString(e.filter.Text(value)) }

func (e filteredArray) AppendByteString(value []byte) {
	e.ArrayEncoder.AppendByteString(e.filter.With(nil).Bytes(value))
}

func (e filteredArray) AppendReflected(value any) error {
	if shown, ok := e.filter.reflected(value); ok {
		return e.ArrayEncoder.AppendReflected(shown)
	}
	return e.ArrayEncoder.AppendReflected(value)
}

func (e filteredArray) AppendObject(object zapcore.ObjectMarshaler) error {
	return e.ArrayEncoder.AppendObject(e.filter.object(object))
}

func (e filteredArray) AppendArray(array zapcore.ArrayMarshaler) error {
	return e.ArrayEncoder.AppendArray(e.filter.array(array))
}
