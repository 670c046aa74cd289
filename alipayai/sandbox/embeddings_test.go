package sandbox

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"testing"
)

type embeddingAnswer struct {
	Object, Model string
	Data          []struct {
		Index     int
		Object    string
		Embedding json.RawMessage
	}
	Usage struct {
		Prompt int `json:"prompt_tokens"`
		Total  int `json:"total_tokens"`
	}
}

func (a embeddingAnswer) floats(t *testing.T, i int) (v []float32) {
	t.Helper()
	if err := json.Unmarshal(a.Data[i].Embedding, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEmbeddings(t *testing.T) {
	g := newRig(t, Config{})
	embed := func(rest string) (got embeddingAnswer) {
		t.Helper()
		g.call("POST", pathEmbeddings, []byte(`{"model":"alipay-embed-1",`+rest+`}`), 200, &got)
		return got
	}
	got := embed(`"input":["one","two","one"]`)
	if got.Object != "list" || got.Model != "alipay-embed-1" || len(got.Data) != 3 || got.Data[2].Index != 2 || got.Usage.Total != 3 {
		t.Fatalf("got %+v", got)
	}
	one, two, again := got.floats(t, 0), got.floats(t, 1), got.floats(t, 2)
	if !slices.Equal(one, again) || slices.Equal(one, two) {
		t.Error("want the vector to depend on the text alone")
	}
	var square float64
	for _, x := range one {
		square += float64(x) * float64(x)
	}
	if len(one) != 64 || math.Abs(square-1) > 1e-5 {
		t.Errorf("%d dimensions of squared length %v", len(one), square)
	}

	encoded := embed(`"input":"one","encoding_format":"base64"`)
	var text string
	if err := json.Unmarshal(encoded.Data[0].Embedding, &text); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 4*64 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	for i, x := range one {
		if y := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])); x != y {
			t.Fatalf("float %d is %v in JSON and %v in base64", i, x, y)
		}
	}

	if n := len(embed(`"input":"one","dimensions":3`).floats(t, 0)); n != 3 {
		t.Errorf("%d dimensions, want 3", n)
	}
	tokens := embed(`"input":[1,2]`)
	lists := embed(`"input":[[1,2],[3]]`)
	if len(tokens.Data) != 1 || len(lists.Data) != 2 || !slices.Equal(tokens.floats(t, 0), lists.floats(t, 0)) {
		t.Error("want one vector for each list of tokens")
	}
}
