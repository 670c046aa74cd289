package doctor

import (
	"net/http"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
)

// verdict is what an answer says of the request: which of the configuration's
// assumptions it contradicts.
type verdict int

const (
	unreachable  verdict = iota // no answer came
	version                     // another HTTP version is wanted
	redirected                  // it is somewhere else
	broken                      // the upstream's own failure
	notFound                    // there is no such path
	notJSON                     // what is there is no API
	page                        // something in front of the API answers
	compressed                  // the answer cannot be read
	wrongAddress                // this machine's
	throttled
	wrongClient    // client id or key version
	wrongTime      // the time that is signed
	wrongSignature // what is signed, how, and where it stands
	wrongToken     // the access token, or where it stands
	refused        // any of the four
	wrongRequest   // token endpoint: the form
	otherNames     // it is a success, with what is looked for under other names
	good
)

// judge reads an answer that is no success. What the vendors call things differs
// by letter case and separators only, so codes are read by their words, and without a
// code the message is. Where errors
// come with status 200, the message may be all that says that there is no such path.
func judge(status int, code, message string, class failure.Class) verdict {
	known := failure.Known(code) != "other" && code != ""
	word := strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(strings.ToLower(code))
	said := ""
	if code == "" {
		said = strings.ToLower(message)
	}
	switch {
	case status == http.StatusHTTPVersionNotSupported:
		return version
	case saysAddress(word), saysAddress(separators.Replace(strings.ToLower(message))):
		return wrongAddress
	case status >= 300 && status < 400:
		return redirected
	case status == http.StatusTooManyRequests, known && class == failure.Throttle:
		return throttled
	case class == failure.Resign, strings.Contains(word, "timestamp"), strings.Contains(word, "requesttime"), strings.Contains(said, "timestamp"), strings.Contains(said, "request time"):
		return wrongTime
	case strings.Contains(word, "sign"), strings.Contains(said, "signature"):
		return wrongSignature
	case known && class == failure.RefreshToken, strings.Contains(word, "token"), strings.Contains(said, "token"):
		return wrongToken
	case strings.Contains(word, "client"), strings.Contains(word, "appid"), strings.Contains(word, "keyversion"):
		return wrongClient
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed,
		status < http.StatusMultipleChoices && !known && saysNotFound(message):
		return notFound
	case status >= 500, known && class == failure.SystemError:
		return broken
	}
	return refused
}

// better reports whether an answer after a change shows that the change was right:
// a success does, and so does getting past what was in the way. A refusal for
// another reason of the same kind is none.
func better(before, after verdict) bool {
	if after >= otherNames && after > before {
		return true
	}
	switch before {
	case unreachable, version:
		return after > notJSON || after == notFound
	case notFound, notJSON:
		return after > throttled
	case wrongTime, wrongSignature:
		// Upstreams look at the two in either order: one instead of the other says nothing.
		return after == wrongToken
	case wrongToken:
		return after == wrongSignature || after == wrongTime
	}
	return false
}

// saysAddress reads words, without separators, that are about a list of addresses which may
// call, as the Open Platform's isv.ip-not-in-whitelist.
func saysAddress(words string) bool {
	for _, list := range []string{"whitelist", "allowlist", "iplist", "ipnot"} {
		if strings.Contains(words, list) {
			return true
		}
	}
	return false
}

// saysNotFound reads the message of a failure that has neither a status nor a code
// that is known.
func saysNotFound(message string) bool {
	message = strings.ToLower(message)
	for _, words := range []string{"not found", "no such", "not exist"} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}
