package e2e

import (
	"math"
	"slices"
	"testing"

	"github.com/openai/openai-go/v3"
)

func TestEmbeddings(t *testing.T) {
	g := startGateway(t, options{})
	inputs := []string{"支付宝", "Alipay"}
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		vectors := make(map[openai.EmbeddingNewParamsEncodingFormat][]openai.Embedding)
		for _, format := range []openai.EmbeddingNewParamsEncodingFormat{"float", "base64"} {
			answer, err := c.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
				Model:          modelEmbed,
				Input:          openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: inputs},
				EncodingFormat: format,
				Dimensions:     openai.Int(96),
			})
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			if len(answer.Data) != len(inputs) || answer.Model != modelEmbed || answer.Usage.TotalTokens == 0 {
				t.Fatalf("%s: %d vectors, model %q, usage %+v", format, len(answer.Data), answer.Model, answer.Usage)
			}
			vectors[format] = answer.Data
			if got := g.take(pathEmbeddings); len(got) != 1 || got[0] != c.wire.sent() {
				t.Errorf("%s: the API got %q, the client sent %q", format, got, c.wire.sent())
			}
		}
		for i := range inputs {
			float, encoded := vectors["float"][i], vectors["base64"][i]
			if float.Index != int64(i) || encoded.Index != int64(i) {
				t.Errorf("vector %d has the indexes %d and %d", i, float.Index, encoded.Index)
			}
			if len(float.Embedding) != 96 || len(encoded.Embedding) != 96 {
				t.Fatalf("vector %d has %d and %d dimensions, want 96", i, len(float.Embedding), len(encoded.Embedding))
			}
			if !slices.EqualFunc(float.Embedding, encoded.Embedding, func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }) {
				t.Errorf("vector %d differs between the formats", i)
			}
		}
	})
}

func TestModels(t *testing.T) {
	cases := map[string]struct {
		provider string
		want     []string
		asked    int // how often the API is asked
	}{
		"of the upstream": {want: []string{"alipay-fin-1", "alipay-fin-mini", "alipay-embed-1"}, asked: 1},
		"as configured":   {provider: "models alipay-fin-mini gpt-of-ours", want: []string{"alipay-fin-mini", "gpt-of-ours"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, options{provider: tc.provider})
			g.overEachProtocol(t, func(t *testing.T, c *client) {
				var got []string
				pages := c.Models.ListAutoPaging(t.Context())
				for pages.Next() {
					model := pages.Current()
					got = append(got, model.ID)
					if model.OwnedBy != "alipay" || model.Object != "model" {
						t.Errorf("%s is a %q of %q", model.ID, model.Object, model.OwnedBy)
					}
				}
				if err := pages.Err(); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, tc.want) {
					t.Errorf("models %q, want %q", got, tc.want)
				}
				if asked := len(g.take(pathModels)); asked != tc.asked {
					t.Errorf("the API was asked %d times, want %d", asked, tc.asked)
				}
			})
		})
	}
}
