package pack

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// errStop ends the reading of what cannot be packed.
var errStop = errors.New("it cannot be packed")

func orStop(ok bool) error {
	if !ok {
		return errStop
	}
	return nil
}

// members calls each for every member of the object v, as long as it gives true, and reports whether v is an object and
// each always did.
func members(v jsontext.Value, each func(name string, v jsontext.Value) bool) bool {
	return translate.Members(v, func(name string, v jsontext.Value) error { return orStop(each(name, v)) }) == nil
}

// elements is members for an array.
func elements(v jsontext.Value, each func(v jsontext.Value) bool) bool {
	return translate.Elements(v, func(_ int, v jsontext.Value) error { return orStop(each(v)) }) == nil
}
