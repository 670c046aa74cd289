package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/moderate"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// moderatedText is what ordinary prompts are made of: nothing that rules refuse.
const moderatedText = "请问我的订单什么时候可以发货，物流信息一直没有更新。Could you please look into it? 谢谢您的帮助，祝您生活愉快。"

// benchModeration measures what moderation by rules adds to a call: its texts are taken out of the parsed request and held
// against the rules. It returns its part of the report.
func benchModeration(ctx context.Context, s settings) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "\nModeration by rules, CPU added to a call; medians of %d rounds.\n\n| rules | characters | µs |\n|---|---|---|\n", s.rounds)
	calls := 2000
	if s.onlyRuns() {
		calls = 20
	}
	china, words := new(moderate.Rules), new(moderate.Rules)
	if err := china.AddBuiltin("china"); err != nil {
		return "", err
	}
	for i := range 10_000 {
		if err := words.AddWords("words", fmt.Sprintf("word%d and %d", i, i*i)); err != nil {
			return "", err
		}
	}
	for _, rules := range []struct {
		name  string
		rules *moderate.Rules
	}{{"builtin china", china}, {"10,000 words", words}} {
		if err := rules.rules.Compile(); err != nil {
			return "", err
		}
		for _, characters := range []int{200, 1000} {
			var rounds []float64
			for range s.rounds {
				if err := ctx.Err(); err != nil {
					return "", err
				}
				took, err := moderationTime(rules.rules, characters, calls)
				if err != nil {
					return "", err
				}
				rounds = append(rounds, float64(took)/float64(time.Microsecond))
			}
			slices.Sort(rounds)
			fmt.Fprintf(&b, "| %s | %d | %.1f |\n", rules.name, characters, rounds[len(rounds)/2])
		}
	}
	return b.String(), nil
}

// moderationTime is the CPU time that the rules take for one request, of so many.
func moderationTime(rules *moderate.Rules, characters, calls int) (time.Duration, error) {
	text := []rune(strings.Repeat(moderatedText, characters/40+1))[:characters]
	quoted, err := json.Marshal(string(text))
	if err != nil {
		return 0, err
	}
	request, err := wire.ParseChatRequest([]byte(`{"model":"m","messages":[{"role":"user","content":`+string(quoted)+`}]}`), wire.Limits{})
	if err != nil {
		return 0, err
	}
	before, err := cpuTime()
	if err != nil {
		return 0, err
	}
	for range calls {
		if policy, found := rules.CheckTexts(request.Texts()); found {
			return 0, fmt.Errorf("an ordinary prompt breaks policy %s", policy)
		}
	}
	after, err := cpuTime()
	return (after - before) / time.Duration(calls), err
}
