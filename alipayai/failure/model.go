package failure

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// ModelRefusal is what a refusal says of the model that was asked for.
type ModelRefusal int

// What a refusal says.
const (
	// ModelTaken is a refusal of something else.
	ModelTaken ModelRefusal = iota
	// ModelUnknown says that the vendor has no such model, or not for this account.
	ModelUnknown
	// ModelRetired says that the vendor has had it, and has it no more.
	ModelRetired
)

// modelCodes are codes and types that say nothing else. model_test.go has the answers, with the sources.
var modelCodes = map[string]ModelRefusal{
	CodeModelNotFound:                 ModelUnknown, // OpenAI, Qwen, Groq
	"ModelNotFound":                   ModelUnknown, // Qwen's own form
	"invalid_model":                   ModelUnknown, // Mistral
	"InvalidEndpoint.NotFound":        ModelUnknown, // Volcengine Ark, with the next two
	"InvalidEndpoint.ClosedEndpoint":  ModelUnknown,
	"InvalidEndpointOrModel.NotFound": ModelUnknown,
	"model_not_available":             ModelUnknown, // Together, with the next
	"dedicated_endpoint_not_running":  ModelUnknown,
	"DeploymentNotFound":              ModelUnknown, // Azure
	"1211":                            ModelUnknown, // GLM
	"InvalidParameterValue.Model":     ModelUnknown, // Tencent
	"model_offline":                   ModelRetired, // Baidu
	"model_decommissioned":            ModelRetired, // Groq
}

// retiredWords and unknownWords are what messages say of a model, whose name stands between, in lower case. A word of a model
// elsewhere in a sentence, as in "is deprecated for this model", is of something else.
var (
	retiredWords = regexp.MustCompile(`\bmodel(?: version)?(?: \S+)? (?:has been (?:deprecated|decommissioned|retired)\b` +
		`|was (?:deprecated|retired) on\b|is no longer (?:available|accessible)\b|has reached (?:its|the) end of (?:its )?life\b)` +
		`|\bmodel is marked by provider as legacy\b`) // Amazon's: https://github.com/awslabs/llmeter/issues/35
	unknownWords = regexp.MustCompile(`\bmodel(?: or endpoint)?(?: \S+)? (?:does not exist|not exist|(?:is |was )?not found)\b` +
		`|^models/\S+ is not found\b|^not found the model\b|\bis not a valid model\b|^no endpoints found for\b` +
		`|^the provided model identifier is invalid\b`)
)

// modelRefused says what a refusal with this status is of the model.
func modelRefused(status int, code string, reported *wire.Failure) ModelRefusal {
	message := strings.ToLower(reported.Message)
	switch {
	case status == http.StatusGone, retiredWords.MatchString(message):
		return ModelRetired
	case modelCodes[code] != ModelTaken:
		return modelCodes[code]
	case modelCodes[reported.Type] != ModelTaken:
		return modelCodes[reported.Type]
	case status == http.StatusNotFound && strings.HasPrefix(message, "model: "), unknownWords.MatchString(message): // the first is Anthropic's
		return ModelUnknown
	}
	return ModelTaken
}
