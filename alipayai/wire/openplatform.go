package wire

import "github.com/go-json-experiment/json/jsontext"

// globalResult reads "result" of Antom and Alipay+. S is a success, and so is any other status that is not F or U.
func (s *scanner) globalResult(e *envelope) error {
	var f Failure
	err := s.eachMember(func(name []byte) error {
		switch string(name) {
		case "resultCode":
			return s.word(&f.Code, maxWord)
		case "resultMessage":
			return s.word(&f.Message, maxMessage)
		case "resultStatus":
			return s.word(&f.Status, maxWord)
		}
		_, err := s.skip()
		return err
	})
	if err == nil && e.Failure == nil && (f.Status == "F" || f.Status == StatusUnknown) {
		e.Failure = &f
	}
	return err
}

// gatewayResponse reads <method>_response of Open Platform v2. 10000 is a success, and so is no code at all: the answer of
// alipay.system.oauth.token has none.
func (s *scanner) gatewayResponse(e *envelope) error {
	var code, msg, subCode, subMsg string
	err := s.eachMember(func(name []byte) error {
		switch string(name) {
		case "code":
			return s.word(&code, maxWord)
		case "msg":
			return s.word(&msg, maxMessage)
		case "sub_code":
			return s.word(&subCode, maxWord)
		case "sub_msg":
			return s.word(&subMsg, maxMessage)
		}
		_, err := s.skip()
		return err
	})
	if err != nil || e.Failure != nil || code == "" || code == "10000" {
		return err
	}
	f := &Failure{Code: code, Message: msg, GatewayCode: code}
	if subCode != "" {
		f.Code = subCode
	}
	if subMsg != "" {
		f.Message = subMsg
	}
	e.Failure = f
	return nil
}

// payloadFailure reads the payload of a nextbuilder error event: JSON, usually once more inside a string. Only errorCode
// is known of it; the names of a message are guesses, and a payload that is no JSON is taken for the message.
func payloadFailure(payload jsontext.Value) *Failure {
	text := []byte(payload)
	if payload.Kind() == '"' {
		text = []byte(unquote(payload))
	}
	f := new(Failure)
	s := newScanner(text, Limits{}, lenient...)
	defer s.release()
	err := s.document(func(name []byte) error {
		switch string(name) {
		case "errorCode", "code":
			return s.word(&f.Code, maxWord)
		case "errorMessage", "errorMsg", "message":
			return s.word(&f.Message, maxMessage)
		}
		_, err := s.skip()
		return err
	})
	if err != nil && payload.Kind() == '"' {
		return &Failure{Message: clean(payload, maxMessage)}
	}
	return f
}
