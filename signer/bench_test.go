package signer

import (
	"bytes"
	"testing"
)

func chatMessage() Message {
	return Message{
		Method: "POST",
		Target: "/v1/chat/completions",
		Body:   bytes.Repeat([]byte("a"), 700),
		Time:   testTime,
		Nonce:  "c7ef77a5-f66d-429b-80be-428c563a4267",
	}
}

func BenchmarkHMACSign(b *testing.B) {
	s, m := newHMAC(b, "2026APP01"), chatMessage()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLayoutSign(b *testing.B) {
	s, m := asLayout(b, "2026APP01"), chatMessage()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHMACVerifyRequest(b *testing.B) {
	s, m := newHMAC(b, "2026APP01"), chatMessage()
	_, h := send(b, s, m)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.VerifyRequest(m, h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenAPIV3Sign(b *testing.B) {
	s, m := must(NewOpenAPIV3(openAPIConfig(b)))(b), chatMessage()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(m); err != nil {
			b.Fatal(err)
		}
	}
}
