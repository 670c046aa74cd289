package sandbox

import "time"

// TokenShape is how the token endpoint answers an app, where it and the API have agreed on names of their own. Paths are
// those of an [AnswerShape]; an empty one is not agreed on, and has the name of RFC 6749.
type TokenShape struct {
	AccessToken, RefreshToken []string
	// Expires is when the token ends, in Unit: s, the default, or ms from now; a date; or unix or unix_ms.
	Expires []string
	Unit    string
	// Success has SuccessValue in a success, and a failure's code else, unless Code has another place.
	Success      []string
	SuccessValue string
	Code         []string
}

// tokenShape is the form of a token's answer; nil for the API's own.
func (c *call) tokenShape() *TokenShape {
	if c.app != nil {
		return c.app.tokenAnswer
	}
	if len(c.srv.apps) == 1 { // refused before it is known who asks
		for _, only := range c.srv.apps {
			return only.tokenAnswer
		}
	}
	return nil
}

// success writes a token that has been given at now, for life, in the place of answer.
func (s *TokenShape) success(answer map[string]any, now time.Time, life time.Duration) tree {
	o := tree{}
	o.set(orName(s.AccessToken, "access_token"), answer["access_token"])
	if refresh, ok := answer["refresh_token"]; ok {
		o.set(orName(s.RefreshToken, "refresh_token"), refresh)
	}
	ends := now.Add(life)
	var expires any = int64(life / time.Second)
	switch s.Unit {
	case "ms":
		expires = life.Milliseconds()
	case "date":
		expires = ends.UTC().Format(time.RFC3339)
	case "unix":
		expires = ends.Unix()
	case "unix_ms":
		expires = ends.UnixMilli()
	}
	o.set(orName(s.Expires, "expires_in"), expires)
	o.set(s.Success, scalar(s.SuccessValue))
	return o
}

// refusal writes a failure.
func (s *TokenShape) refusal(code, reason string) tree {
	o := tree{"error_description": reason}
	o.set(s.Success, code)
	o.set(orName(s.Code, "error"), code)
	return o
}

func orName(path []string, name string) []string {
	if len(path) == 0 {
		return []string{name}
	}
	return path
}
