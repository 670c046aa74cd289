package intent

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"testing/fstest"
)

// The same examples give the same weights on any machine: with products and sums that could be fused (GOAMD64=v3,
// arm64) as without.
func TestTrainingIsDeterministic(t *testing.T) {
	const want = "1fb28b5b61036eac"
	var examples []Example
	for n, topic := range []string{"loans and cards", "wind and rain", "songs and bands"} {
		for i := range 40 {
			examples = append(examples, Example{Intent: string(rune('a' + n)), Text: strings.Repeat("more ", i%3) + topic[:len(topic)-i%5] + string(rune('我'+i))})
		}
	}
	c, err := Train(examples)
	if err != nil {
		t.Fatal(err)
	}
	var weights bytes.Buffer
	if err := binary.Write(&weights, binary.LittleEndian, c.weights); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(weights.Bytes())
	if got := hex.EncodeToString(sum[:8]); got != want {
		t.Errorf("the weights have the digest %s, want %s", got, want)
	}
}

// The built-in examples are told apart, and texts that are not among them too.
func TestBuiltIn(t *testing.T) {
	report := Evaluate(BuiltIn(), func(text string) string { return Default().Classify(text).Intent })
	if a := report.Accuracy(); a < 0.97 {
		t.Errorf("accuracy on the examples themselves: %.3f", a)
	}
	for text, want := range map[string]string{
		"Why did the shop decline my card yesterday evening?":  "financial",
		"I'd like to pay back my mortgage earlier than agreed": "financial",
		"how many swiss francs are 300 dollars":                "financial",
		"WHAT IS MY BALANCE":                                   "financial",
		"ｗｈａｔ ｉｓ ｍｙ ａｃｃｏｕｎｔ ｂａｌａｎｃｅ":                           "financial",
		"我的信用卡被盗刷了，钱还能追回来吗":                                    "financial",
		"这个月的花呗账单能不能晚几天还":                                      "financial",
		"hi!":                                                                "trivial",
		"Thanks, that helped me a lot":                                       "trivial",
		"谢谢你的帮助":                                                             "trivial",
		"Will it be sunny in Hamburg on Sunday?":                             "other",
		"please switch off the lamp in the hall":                             "other",
		"how do I make tomato soup":                                          "other",
		"杭州后天会下雪吗":                                                           "other",
		"把卧室的空调关了":                                                           "other",
		"Aenean lacinia bibendum nulla sed consectetur":                      "other",
		"对账的时候发现有一笔钱对不上":                                                     "financial",
		"發票抬頭寫錯了可以重開嗎":                                                       "financial",
		"這部電影好看嗎":                                                            "other",
		"二手房的价格还会往下走吗":                                                       "other",
		"今年的小麦多少钱一斤收":                                                        "other",
		"首套房贷款的利率下调了没有":                                                      "financial",
		"ETH 跌成这样，要不要割肉":                                                     "financial",
		strings.Repeat("the weather was fine that day, ", 500) + "it rained": "other",
	} {
		if got := Default().Classify(text); got.Intent != want {
			t.Errorf("%.60q is taken for %s (%.2f), want %s", text, got.Intent, got.Confidence, want)
		}
	}
}

// Examples that are kept back are told apart by the others: each fifth of the built-in ones.
func TestBuiltInKeptBack(t *testing.T) {
	var examples []Example
	keptBack := make(map[string][]Example)
	for i, e := range BuiltIn() {
		if i%5 != 0 {
			examples = append(examples, e)
			continue
		}
		script := Script(e.Text)
		keptBack[script] = append(keptBack[script], e)
	}
	c, err := Train(examples)
	if err != nil {
		t.Fatal(err)
	}
	for script, least := range map[string]struct{ accuracy, financial float64 }{"han": {0.90, 0.90}, "latin": {0.75, 0.85}} {
		report := Evaluate(keptBack[script], func(text string) string {
			g := c.Classify(text)
			if g.Confidence < DefaultConfidence {
				return ""
			}
			return g.Intent
		})
		accuracy, recall := report.Accuracy(), report.Recall("financial")
		t.Logf("%s: %d texts, accuracy %.3f, recall of financial %.3f", script, len(keptBack[script]), accuracy, recall)
		if accuracy < least.accuracy || recall < least.financial {
			t.Errorf("%s: accuracy %.3f, recall of financial %.3f; want %v", script, accuracy, recall, least)
		}
	}
}

// No text upsets it, and its confidence is a probability.
func FuzzClassify(f *testing.F) {
	for _, text := range []string{"", " ", "\xff\xfe", "ﬁ", "a", "'", strings.Repeat("界", 3000), "\u200b\U0001F600"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g := Default().Classify(text)
		if !(g.Confidence > 0 && g.Confidence <= 1) || g.Intent == "" {
			t.Errorf("%q: %+v", text, g)
		}
		Script(text)
	})
}

// A classification leaves nothing for the collector, however long the text is.
func TestClassifyAllocatesNothing(t *testing.T) {
	long := strings.Repeat("my card was declined 刷卡失败 ", 200)
	s := new(scratch) // the pool's own forgets some under the race detector
	if n := testing.AllocsPerRun(100, func() { Default().classify(s, long) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestMistakesInExamples(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		folder fstest.MapFS
		want   string
	}{
		"no file":    {fstest.MapFS{"readme.md": file("x")}, "no file of examples"},
		"empty file": {fstest.MapFS{"a.txt": file("# none\n\n"), "b.txt": file("x")}, "a.txt has no example"},
		"odd name":   {fstest.MapFS{"a b.txt": file("x")}, `"a b" is no name of an intent`},
		"not UTF-8":  {fstest.MapFS{"a.txt": file("\xff")}, "a.txt is not UTF-8"},
		"one intent": {fstest.MapFS{"a.txt": file("x\ny")}, "two intents at least"},
	} {
		t.Run(name, func(t *testing.T) {
			examples, err := Read(c.folder)
			if err == nil {
				_, err = Train(examples)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestReadExamples(t *testing.T) {
	examples, err := Read(fstest.MapFS{
		"pay.txt":   {Data: []byte("\ufeff# money\r\n\r\n  my card \r\nmy bill")},
		"chat.txt":  {Data: []byte("hello\n")},
		"notes.md":  {Data: []byte("no example")},
		"a/pay.txt": {Data: []byte("no example")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Example{{"chat", "hello"}, {"pay", "my card"}, {"pay", "my bill"}}
	if len(examples) != len(want) {
		t.Fatalf("%q", examples)
	}
	for i := range want {
		if examples[i] != want[i] {
			t.Errorf("%q, want %q", examples[i], want[i])
		}
	}
}

func TestScript(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"12 + 3 = 15 😀":             "",
		"hello":                     "latin",
		"Größe und Ärger":           "latin",
		"余额":                        "han",
		"请用 Python 写一个 function":    "han",
		"OpenAI and 阿里巴巴 are firms": "latin",
		"残高を教えて":                    "kana",
		"東京都庁":                      "han",
		"잔액이 얼마예요":                  "hangul",
		"какой у меня баланс":       "cyrillic",
		"ما هو رصيدي":               "arabic",
		"ยอดเงินคงเหลือ":         "thai",
		"ποιο είναι το υπόλοιπό": "greek",
		"मेरा बैलेंस क्या है":    "devanagari",
		"ＡＢＣ full width":         "latin",
	} {
		if got := Script(text); got != want {
			t.Errorf("%q is in %q, want %q", text, got, want)
		}
	}
}

// The figures that are promised: at most 30 µs for 200 characters, and 2 s for ten thousand examples.
func BenchmarkClassify(b *testing.B) {
	for name, text := range map[string]string{
		"latin": strings.Repeat("Why was my card payment declined when I had money? ", 4)[:200],
		"han":   strings.Repeat("为什么我的银行卡付款被拒绝了呢请帮我查", 10),
		"prose": strings.Repeat("lorem ipsum dolor sit amet ", 22),
	} {
		b.Run(name, func(b *testing.B) {
			c := Default()
			b.ReportAllocs()
			for b.Loop() {
				c.Classify(text)
			}
		})
	}
}

func BenchmarkTrain10000(b *testing.B) {
	examples := BuiltIn()
	for len(examples) < 10_000 {
		examples = append(examples, examples[:min(len(examples), 10_000-len(examples))]...)
	}
	for b.Loop() {
		if _, err := Train(examples); err != nil {
			b.Fatal(err)
		}
	}
}
