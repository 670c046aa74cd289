package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// What is signed, how its time is written, and where the signature stands: the
// profile's own first. A layout takes one of each. {time} stands for the time.
var (
	layoutContents = []string{
		`{method} {uri}\n{client_id}.{time}.{body}`,
		`{method}\n{uri}\n{client_id}\n{time}\n{body_sha256}`,
		`{time}\n{method}\n{uri}\n{body}`,
	}
	layoutTimes      = []string{"{time_ms}", "{time_s}"}
	layoutSignatures = [][2]string{
		{"Signature", "algorithm=HMAC-SHA256,keyVersion={key_version},signature={base64_escaped}"},
		{"X-Signature", "{hex}"},
		{"X-Signature", "{base64}"},
		{"Signature", "{hex}"},
	}
)

// layout is one that is tried: its zone and hash are empty for the usual ones.
type layout struct {
	content, at string
	signature   [2]string
	zone, hash  string
}

// layoutOthers are layouts that differ from the profile's in one thing further: the time is that of day in China, the body is
// signed by its digest, or the hash is another one.
var layoutOthers = func() (others []layout) {
	usual := layout{content: layoutContents[0], at: layoutTimes[0], signature: layoutSignatures[0]}
	for _, at := range []string{"{time_local}", "{time_digits}", "{time_iso}"} {
		other := usual
		other.at, other.zone = at, "+08:00"
		others = append(others, other)
	}
	for _, digest := range []string{"{body_sha256}", "{body_sha256_base64}"} {
		other := usual
		other.content = strings.Replace(usual.content, "{body}", digest, 1)
		others = append(others, other)
	}
	usual.hash = "sha512"
	return append(others, usual)
}()

// layoutOptions are the layouts, with the time as one of times, that p's upstream may
// want instead of the profile's, those that differ in one thing first. One that the
// configuration declares is from a contract, and is not replaced by a guess.
func layoutOptions(p *upstream.Provider, times []string) []option {
	if p.Scheme != nil && p.Scheme.Traits().Declared || p.Profile.Kind().Key != signer.KeySecret {
		return nil
	}
	var byDistance [4][]option
	for i, content := range layoutContents {
		for _, at := range times {
			for k, signature := range layoutSignatures {
				distance := min(i, 1) + min(k, 1)
				if at != layoutTimes[0] {
					distance++
				}
				byDistance[distance] = append(byDistance[distance], layoutOption(p, layout{content: content, at: at, signature: signature}))
			}
		}
	}
	for _, other := range layoutOthers {
		if other.at != layoutTimes[0] || slices.Contains(times, other.at) {
			byDistance[1] = append(byDistance[1], layoutOption(p, other))
		}
	}
	return slices.Concat(byDistance[1:]...)
}

// layoutOption is one layout, as a signature block. It does not say how answers are
// signed, so that they cannot be required to be.
func layoutOption(p *upstream.Provider, l layout) option {
	content := strings.ReplaceAll(l.content, "{time}", l.at)
	var text strings.Builder
	fmt.Fprintf(&text, "signature {\n\tcontent \"%s\"\n\theader Client-Id \"{client_id}\"\n\theader Request-Time \"%s\"\n\theader %s \"%s\"\n",
		content, l.at, l.signature[0], l.signature[1])
	signature := map[string]any{
		"content": content,
		"headers": map[string]string{"Client-Id": "{client_id}", "Request-Time": l.at, l.signature[0]: l.signature[1]},
	}
	for _, further := range [][2]string{{"zone", l.zone}, {"hash", l.hash}} {
		if further[1] != "" {
			fmt.Fprintf(&text, "\t%s %s\n", further[0], further[1])
			signature[further[0]] = further[1]
		}
	}
	text.WriteString("}")
	change := map[string]any{"signature": signature}
	if p.Verify == upstream.VerifyRequire {
		text.WriteString("\nverify_response if_present")
		change["verify_response"] = upstream.VerifyIfPresent
	}
	patch, err := json.Marshal(change)
	if err != nil {
		panic(err) // strings always marshal
	}
	return option{text: text.String(), patch: string(patch), step: stepSignature, signs: true}
}
