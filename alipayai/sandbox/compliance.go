package sandbox

import (
	"strings"
	"unicode"
)

// policies are the rules that [Production] holds prompts against. Ant publishes
// no list; the name and the phrases are the simulator's own. Phrases are written
// as [normalise] leaves text.
var policies = [...]struct {
	name    string
	phrases []string
}{
	{"income-prediction", []string{
		"predictfutureincome", "predictmyfutureincome", "predictyourfutureincome",
		"predicttheirfutureincome", "forecastfutureincome", "forecastmyfutureincome",
		"futureincomeprediction", "futureincomeforecast",
		"预测未来收入", "预测未来的收入", "预测我未来的收入", "预测我的未来收入", "未来收入预测", "预测将来收入", "预测将来的收入",
		"預測未來收入", "預測未來的收入", "預測我未來的收入", "預測我的未來收入", "未來收入預測", "預測將來收入", "預測將來的收入",
	}},
}

// violated returns the name of the first policy that text breaks, or "".
func violated(text string) string {
	text = normalise(text)
	for _, p := range policies {
		for _, phrase := range p.phrases {
			if strings.Contains(text, phrase) {
				return p.name
			}
		}
	}
	return ""
}

// normalise folds the spellings that read the same: case, full-width forms,
// whitespace, and characters without a width. Nothing else is folded.
func normalise(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0xFF01 && r <= 0xFF5E { // full-width ASCII
			r -= 0xFF01 - '!'
		}
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}
