package wire

import "cmp"

// Some vendors count their failures from 1 or 1000, by numbers that mean something else elsewhere (1002 is a key that GLM does
// not know, and MiniMax's limit on requests). A number that stands in a member of its own is a code with the member's name before
// it: base_resp.1002. 0 is none, and one that is an HTTP status is that status.

// numbered reads a number that the member of that name has.
func (s *scanner) numbered(e *envelope, name string) error {
	v, err := s.scalar()
	if n := code(v); err == nil && isFailureText(n) && statusNumber(v) == "" {
		e.numbered = name + "." + n
	} else if err == nil && e.numbered == "" {
		e.numbered = statusNumber(v)
	}
	return err
}

// baseResponse reads MiniMax's base_resp, with which it answers a failure under status 200, choices null beside it:
// {"status_code":1008,"status_msg":"insufficient balance"} (https://platform.minimax.io/docs/api-reference/errorcode,
// https://github.com/RooCodeInc/Roo-Code/pull/9105).
func (s *scanner) baseResponse(e *envelope) error {
	return s.eachMember(func(name []byte) (err error) {
		switch string(name) {
		case "status_code":
			return s.numbered(e, "base_resp")
		case "status_msg":
			v, err := s.raw()
			if isFailureText(cmp.Or(code(v), "0")) && len(e.said) == 0 {
				e.said = v
			}
			return err
		}
		_, err = s.skip()
		return err
	})
}
