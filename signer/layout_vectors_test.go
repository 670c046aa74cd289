package signer

import (
	"encoding/json"
	"testing"
	"time"
)

// Schemes of other vendors, as recipes, must give what those vendors publish.
func TestLayoutVectors(t *testing.T) {
	const stripeEvent = `{
  "id": "evt_123",
  "object": "event",
  "account": "acct_123",
  "api_version": "2017-05-25",
  "created": 1533204620,
  "data": {
    "object": {
      "id": "cus_123",
      "object": "customer",
      "created": 123456789,
      "email": "test@stripe.com",
      "livemode": false,
      "metadata": {}
    }
  },
  "livemode": false,
  "pending_webhooks": 1,
  "request": {
    "id": "req_123",
    "idempotency_key": "idempotency-key-123"
  },
  "type": "customer.created"
}
`
	const slackBody = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V" +
		"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=" +
		"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN" +
		"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	for name, c := range map[string]struct {
		source   string
		content  string
		fields   []Field
		encoding KeyEncoding
		secret   string
		m        Message
		want     map[string]string
	}{
		"GitHub": {
			source:  "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation",
			content: "{body}",
			fields:  []Field{{"X-Hub-Signature-256", "sha256={hex}"}},
			secret:  "It's a Secret to Everybody",
			m:       Message{Body: []byte("Hello, World!")},
			want:    map[string]string{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		},
		"Stripe": { // which also sends v0, a test signature
			source:  "https://github.com/stripe/stripe-dotnet/blob/master/src/StripeTests/Services/Events/EventUtilityTest.cs and Resources/event_test_signature.json",
			content: "{time_s}.{body}",
			fields:  []Field{{"Stripe-Signature", "t={time_s},v1={hex}"}},
			secret:  "webhook_secret",
			m:       Message{Body: []byte(stripeEvent), Time: time.Unix(1533204620, 0)},
			want:    map[string]string{"Stripe-Signature": "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"},
		},
		"Slack": {
			source:  "https://docs.slack.dev/authentication/verifying-requests-from-slack",
			content: "v0:{time_s}:{body}",
			fields:  []Field{{"X-Slack-Request-Timestamp", "{time_s}"}, {"X-Slack-Signature", "v0={hex}"}},
			secret:  "8f742231b10e8888abcd99yyyzzz85a5",
			m:       Message{Body: []byte(slackBody), Time: time.Unix(1531420618, 0)},
			want: map[string]string{
				"X-Slack-Request-Timestamp": "1531420618",
				"X-Slack-Signature":         "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
			},
		},
		"Shopify": {
			source:  "https://github.com/Shopify/shopify-api-php/blob/main/tests/Webhooks/RegistryTest.php (processHeaders, processBody) and tests/BaseTestCase.php",
			content: "{body}",
			fields:  []Field{{"X-Shopify-Hmac-Sha256", "{base64}"}},
			secret:  "steffi",
			m:       Message{Body: []byte(`{"foo":"bar"}`)},
			want:    map[string]string{"X-Shopify-Hmac-Sha256": "/Redz4YXHLnSmmSN8grr5/Jl/Ua3d7yX3iWbjb8R8wo="},
		},
		"Standard Webhooks": {
			source:   "https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/go/webhook_test.go (TestWebhookSign)",
			content:  "{nonce}.{time_s}.{body}",
			fields:   []Field{{"webhook-id", "{nonce}"}, {"webhook-timestamp", "{time_s}"}, {"webhook-signature", "v1,{base64}"}},
			encoding: KeyBase64,
			secret:   "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
			m:        Message{Body: []byte(`{"test": 2432232314}`), Time: time.Unix(1614265330, 0), Nonce: "msg_p5jXN8AQM9LWM0D4loKWxJek"},
			want: map[string]string{
				"Webhook-Id":        "msg_p5jXN8AQM9LWM0D4loKWxJek",
				"Webhook-Timestamp": "1614265330",
				"Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			secret := must(c.encoding.decode([]byte(c.secret)))(t)
			s := must(NewLayout(LayoutConfig{Keys: ring(t, map[int]*HMACKey{1: NewHMACKey(secret)}), Content: c.content, Fields: c.fields}))(t)
			c.m.Method, c.m.Target = "POST", "/hook"
			got := header(must(s.Sign(c.m))(t).Fields)
			if len(got) != len(c.want) {
				t.Errorf("sends %v", got)
			}
			for field, want := range c.want {
				if got.Get(field) != want {
					t.Errorf("%s: got %q, want %q of %s", field, got.Get(field), want, c.source)
				}
			}
			received := Message{Method: "POST", Target: "/hook", Body: c.m.Body}
			if err := s.VerifyRequest(received, got); err != nil {
				t.Error(err)
			}
			received.Body = append([]byte(" "), c.m.Body...)
			if err := s.VerifyRequest(received, got); err == nil {
				t.Error("another body verifies")
			}
		})
	}
}

// asLayout is the built-in hmac-sha256 as a layout of one's own.
func asLayout(t testing.TB, clientID string) *Layout {
	keys := map[int]*HMACKey{1: NewHMACKey([]byte("example-hmac-key-1")), 2: NewHMACKey([]byte("example-hmac-key-2"))}
	return must(NewLayout(asLayoutConfig(clientID, ring(t, keys))))(t)
}

func asLayoutConfig(clientID string, keys *Ring[*HMACKey]) LayoutConfig {
	signature := Field{"Signature", "algorithm=HMAC-SHA256,keyVersion={key_version},signature={base64_escaped}"}
	return LayoutConfig{
		ClientID: clientID, Keys: keys,
		Content:       `{method} {uri}\n{client_id}.{time_ms}.{body}`,
		Fields:        []Field{{"Client-Id", "{client_id}"}, {"Request-Time", "{time_ms}"}, signature},
		AnswerContent: `{method} {path}\n{client_id}.{time_ms}.{body}`,
		AnswerFields:  []Field{{"Response-Time", "{time_ms}"}, signature},
	}
}

// The built-in layout can be said as one's own, to the byte, so whoever's contract differs in one thing begins there.
func TestLayoutOfBuiltIn(t *testing.T) {
	built, own := newHMAC(t, "2026APP01"), asLayout(t, "2026APP01")
	if warnings := own.Traits().Warnings; len(warnings) > 0 {
		t.Errorf("warns of %q", warnings)
	}
	for _, m := range []Message{chatMessage(), {Method: "GET", Target: "/v1/models?a=%20", Time: testTime}} {
		if a, b := must(built.Canonical(m))(t), must(own.Canonical(m))(t); a != b {
			t.Errorf("canonical strings\n%q\n%q", a, b)
		}
		a, b := must(json.Marshal(must(built.Sign(m))(t)))(t), must(json.Marshal(must(own.Sign(m))(t)))(t)
		if string(a) != string(b) {
			t.Errorf("signed\n%s\n%s", a, b)
		}
		answer := m
		answer.Body = []byte("{}")
		signed := header(must(built.SignResponse(answer))(t).Fields)
		if err := own.VerifyResponse(answer, signed); err != nil {
			t.Errorf("the built-in's answer: %v", err)
		}
		signed = header(must(own.SignResponse(answer))(t).Fields)
		if err := built.VerifyResponse(answer, signed); err != nil {
			t.Errorf("the layout's answer: %v", err)
		}
	}
}
