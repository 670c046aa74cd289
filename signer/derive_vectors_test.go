package signer

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	// awsSecret is that of all of AWS's examples.
	awsSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	// tc3Body is that of Tencent Cloud's example, in which the characters stay escaped.
	tc3Body = `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	// tc3Masked is the secret of the example since its documentation hides it: the values are those of the asterisks.
	tc3Masked = "********************************"
)

// sigV4 is AWS's Signature Version 4 over these fields, each a line of the canonical request: a name and a template.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func sigV4(service string, fields ...Field) LayoutConfig {
	lines, names := "", make([]string, len(fields))
	for i, f := range fields {
		lines += f.Name + ":" + f.Value + `\n`
		names[i] = f.Name
	}
	scope := "us-east-1/" + service + "/aws4_request"
	return LayoutConfig{
		ClientID:  "AKIDEXAMPLE",
		Content:   `AWS4-HMAC-SHA256\n{time_basic}\n{time_day}/` + scope + `\n{canonical_sha256}`,
		Canonical: `{method}\n{path}\n{query}\n` + lines + `\n` + strings.Join(names, ";") + `\n{body_sha256}`,
		Derive:    []string{"AWS4", "{time_day}", "us-east-1", service, "aws4_request"},
		Fields: []Field{
			{"Authorization", "AWS4-HMAC-SHA256 Credential={client_id}/{time_day}/" + scope + ", SignedHeaders=" + strings.Join(names, ";") + ", Signature={hex}"},
			{"X-Amz-Date", "{time_basic}"},
		},
	}
}

// suite is a request of AWS's suite, which has one host and one time.
func suite(fields ...Field) LayoutConfig {
	return sigV4("service", append([]Field{{"host", "example.amazonaws.com"}}, fields...)...)
}

// tc3Action is tc3 as the documentation signs since 2023, and as the Hunyuan SDKs do.
func tc3Action(service, host string) LayoutConfig {
	c := tc3(service, host)
	c.Canonical = strings.Replace(c.Canonical, `\n\ncontent-type;host\n`, `\nx-tc-action:describeinstances\n\ncontent-type;host;x-tc-action\n`, 1)
	c.Fields[0].Value = strings.Replace(c.Fields[0].Value, "content-type;host,", "content-type;host;x-tc-action,", 1)
	return c
}

// Keys that are derived give what the vendors publish, at each step that is published: the hash of the canonical request,
// the key of the day, the signature.
//
// Tencent Cloud: https://www.tencentcloud.com/zh/document/api/1021/34193 (before 2023, with its secret),
// https://cloud.tencent.com/document/api/1759/132550 (since), whose program is signature-v3/golang/demo.go of
// https://github.com/TencentCloud/signature-process-demo.
// AWS: the example of the documentation named at sigV4, and its suite, tests/aws-signing-test-suite/v4 of
// https://github.com/awslabs/aws-c-auth at 495329c: context.json, request.txt, header-string-to-sign.txt, header-signature.txt.
func TestDerivedKeyVectors(t *testing.T) {
	noon := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	date := Field{"x-amz-date", "{time_basic}"}
	form := func(kind string) (LayoutConfig, Message) {
		c := sigV4("service", Field{"content-length", "{header.Content-Length}"}, Field{"content-type", "{header.Content-Type}"},
			Field{"host", "example.amazonaws.com"}, Field{"x-amz-content-sha256", "{body_sha256}"}, date)
		return c, Message{
			Method: "POST", Target: "/", Time: noon, Body: []byte("Param1=value1"),
			Header: http.Header{"Content-Length": {"13"}, "Content-Type": {kind}},
		}
	}
	formConfig, formMessage := form("application/x-www-form-urlencoded")
	charsetConfig, charsetMessage := form("application/x-www-form-urlencoded; charset=utf-8")
	token := http.Header{"X-Amz-Security-Token": {"6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"}}
	for name, v := range map[string]struct {
		config                    LayoutConfig
		secret                    string
		m                         Message
		canonical, key, signature string // the key where it is published
	}{
		"Tencent Cloud": {
			tc3("cvm", "cvm.tencentcloudapi.com"), "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
			Message{Method: "POST", Target: "/", Time: time.Unix(1551113065, 0), Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, Body: []byte(tc3Body)},
			"5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031", "", "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
		},
		"Tencent Cloud, the action signed": {
			tc3Action("cvm", "cvm.tencentcloudapi.com"), tc3Masked,
			Message{Method: "POST", Target: "/", Time: time.Unix(1551113065, 0), Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, Body: []byte(tc3Body)},
			"7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84",
			"b596b923aad85185e2d1f6659d2a062e0a86731226e021e61bfe06f7ed05f5af", "10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f",
		},
		"AWS documentation": {
			sigV4("iam", Field{"content-type", "{header.Content-Type}"}, Field{"host", "iam.amazonaws.com"}, date), awsSecret,
			Message{
				Method: "GET", Target: "/?Action=ListUsers&Version=2010-05-08", Time: noon,
				Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
			},
			"f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59",
			"c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
		},
		"AWS get-vanilla": {
			suite(date), awsSecret, Message{Method: "GET", Target: "/", Time: noon},
			"bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
		},
		"AWS post-vanilla": {
			suite(date), awsSecret, Message{Method: "POST", Target: "/", Time: noon},
			"553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
		},
		"AWS post-vanilla-query": {
			suite(date), awsSecret, Message{Method: "POST", Target: "/?Param1=value1", Time: noon},
			"9d659678c1756bb3113e2ce898845a0a79dbbc57b740555917687f1b3340fbbd", "", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
		},
		"AWS post-header-key-sort": {
			suite(Field{"my-header1", "{header.My-Header1}"}, date), awsSecret,
			Message{Method: "POST", Target: "/", Time: noon, Header: http.Header{"My-Header1": {"value1"}}},
			"9368318c2967cf6de74404b30c65a91e8f6253e0a8659d6d5319f1a812f87d65", "", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
		},
		"AWS get-vanilla-with-session-token": {
			suite(date, Field{"x-amz-security-token", "{header.X-Amz-Security-Token}"}), awsSecret, Message{Method: "GET", Target: "/", Time: noon, Header: token},
			"067b36aa60031588cea4a4cde1f21215227a047690c72247f1d70b32fbbfad2b", "", "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
		},
		"AWS post-x-www-form-urlencoded": {
			formConfig, awsSecret, formMessage,
			"b1edd1d03544c25390e32085d55b57acc9a3961bb59415ff86c45c3d89d16cfb", "", "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
		},
		"AWS post-x-www-form-urlencoded-parameters": {
			charsetConfig, awsSecret, charsetMessage,
			"a89f1a5b53e37702ee6363ce1da3ce8f54386f3c8f352ae652153c2982a0bc4d", "", "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := derivedLayout(t, v.config, v.secret)
			if text, err := l.Canonical(v.m); err != nil || !strings.HasSuffix(text, "\n"+v.canonical) {
				t.Errorf("canonical string: %v: %q", err, text)
			}
			for range 2 { // derived, and kept
				s, err := l.Sign(v.m)
				if err != nil || !strings.HasSuffix(s.Fields[0].Value, "Signature="+v.signature) {
					t.Fatalf("%v: %v", err, s.Fields)
				}
				received := v.m.Header.Clone()
				if received == nil {
					received = http.Header{}
				}
				for _, f := range s.Fields {
					received[f.Name] = []string{f.Value}
				}
				if err := l.VerifyRequest(v.m, received); err != nil {
					t.Error(err)
				}
			}
			_, key := l.keys.Signing()
			if kept := key.last.Load(); v.key != "" && hex.EncodeToString(kept.key.secret) != v.key {
				t.Errorf("derived key %x", kept.key.secret)
			}
			if text := fmt.Sprintf("%v %+v %#v", l, l, l.keys); strings.Contains(text, v.secret) || strings.Contains(text, hex.EncodeToString([]byte(v.secret))) {
				t.Error("the secret is printed")
			}
		})
	}
}
