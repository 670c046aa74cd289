package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// inputForm is the form of a tool's input_schema: "input_schema does not support oneOf, allOf, or anyOf at the top level", for
// which the API would refuse the whole request.
var inputForm = translate.ObjectSchema{Without: []string{"anyOf", "oneOf", "allOf"}}

// inputSchema gives the schema that stands at path as the API takes it.
func (r *request) inputSchema(path string, v jsontext.Value) (jsontext.Value, error) {
	fitted, left, err := inputForm.Fit(path, v)
	for _, name := range left {
		r.left.LeaveOut(path + "." + name)
	}
	return fitted, err
}
