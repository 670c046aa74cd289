package wire

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCallPlaces has the pieces of streams by chunks, and of which call each of them is.
func TestCallPlaces(t *testing.T) {
	type piece struct {
		place               int
		id, name, arguments string
	}
	for name, tt := range map[string]struct {
		chunks [][]piece
		want   []int
	}{
		"https://github.com/vllm-project/vllm/pull/23522": {
			[][]piece{{{0, "a", "f", `{"x"`}}, {{0, "b", "f", `:{"y":`}}, {{0, "c", "f", `{"z":1`}}, {{0, "d", "f", " "}}, {{0, "e", "f", "}}}"}}},
			[]int{0, 0, 0, 0, 0},
		},
		"the same without an index":                  {[][]piece{{{NoPlace, "a", "f", `{"x"`}}, {{NoPlace, "b", "f", `:1}`}}, {{NoPlace, "c", "f", `{"x":2}`}}}, []int{0, 0, 1}},
		"within a string":                            {[][]piece{{{0, "a", "f", `{"x":"`}}, {{0, "b", "f", `{`}}, {{0, "c", "f", `"}`}}, {{0, "d", "f", `{}`}}}, []int{0, 0, 0, 1}},
		"another object":                             {[][]piece{{{0, "a", "f", `{"x"`}}, {{0, "b", "f", `{"x":1}`}}}, []int{0, 1}},
		"another name":                               {[][]piece{{{0, "a", "f", `{"x"`}}, {{0, "b", "g", `:1}`}}}, []int{0, 1}},
		"no arguments yet":                           {[][]piece{{{0, "a", "f", ""}}, {{0, "b", "f", `{"x":1}`}}}, []int{0, 1}},
		"calls that mingle":                          {[][]piece{{{NoPlace, "a", "f", `{"x"`}}, {{NoPlace, "b", "f", `{"y"`}}, {{NoPlace, "a", "", ":1}"}}, {{NoPlace, "b", "", ":2}"}}}, []int{0, 1, 0, 1}},
		"at once, of one index":                      {[][]piece{{{0, "", "f", ""}, {0, "", "f", ""}, {0, "", "g", ""}}}, []int{0, 1, 2}},
		"at once, one with an id":                    {[][]piece{{{0, "a", "f", ""}, {0, "", "f", ""}, {0, "b", "f", ""}}}, []int{0, 1, 2}},
		"at once, of one id":                         {[][]piece{{{0, "a", "f", "{"}, {0, "a", "f", "}"}}}, []int{0, 0}},
		"a name in parts":                            {[][]piece{{{0, "a", "f", ""}}, {{0, "", "g", ""}}, {{0, "", "fg", "{}"}}}, []int{0, 0, 0}},
		"no object":                                  {[][]piece{{{NoPlace, "a", "f", `d = {"x"`}}, {{NoPlace, "b", "f", `print({`}}, {{NoPlace, "", "", `})`}}}, []int{0, 1, 1}},
		"https://github.com/agno-agi/agno/pull/8880": {[][]piece{{{0, "a", "f", `{"x":1}`}}, {{0, "b", "g", ""}}, {{1, "", "", `{"y":`}}, {{1, "", "", `2}`}}, {{1, "c", "h", ""}}}, []int{0, 1, 1, 1, 2}},
		"behind one that is whole":                   {[][]piece{{{0, "a", "f", `{"x":1}`}}, {{1, "", "", `{"y":1}`}}, {{1, "", "g", ""}}}, []int{0, 1, 1}},
		"of no name yet":                             {[][]piece{{{0, "a", "", ""}}, {{1, "", "", `{"y":1}`}}}, []int{0, 1}},
		"a name again":                               {[][]piece{{{0, "", "f", ""}}, {{0, "", "f", "{"}}, {{0, "", "f", "}"}}}, []int{0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			var p CallPlaces
			var got []int
			for _, chunk := range tt.chunks {
				p.Chunk()
				for _, piece := range chunk {
					got = append(got, p.Place(piece.place, piece.id, piece.name, piece.arguments))
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// What is remembered of calls is bounded, however many there are and however long their ids and names.
func TestCallPlacesAreBounded(t *testing.T) {
	var p CallPlaces
	long := strings.Repeat("x", 64<<10)
	for i := range 4 * MaxToolCalls {
		p.Chunk()
		n := strconv.Itoa(i)
		if call := p.Place(i, n+long, n+long, "{}"); call != min(i, MaxToolCalls) {
			t.Fatalf("call %d is %d", i, call)
		}
	}
	held := 0
	for _, c := range p.calls {
		held += len(c.id) + len(c.name)
	}
	if p.Len() != MaxToolCalls+1 || len(p.at) > MaxToolCalls+1 || len(p.byID) > MaxToolCalls+1 || held > 2*maxPlaced*(MaxToolCalls+1) {
		t.Errorf("%d calls, %d places, %d ids, %d bytes", p.Len(), len(p.at), len(p.byID), held)
	}
}
