package signer

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"
)

// attribute is one of a distinguished name: the tag says which kind of string value is.
type attribute struct {
	oid   asn1.ObjectIdentifier
	tag   int
	value string
}

// certified makes a certificate that names itself by attributes, each of which is a set of its own.
func certified(t *testing.T, serial *big.Int, attributes ...attribute) []byte {
	t.Helper()
	type pair struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	var name []asn1.RawValue
	for _, a := range attributes {
		set := must(asn1.MarshalWithParams([]pair{{a.oid, asn1.RawValue{Tag: a.tag, Bytes: []byte(a.value)}}}, "set"))(t)
		name = append(name, asn1.RawValue{FullBytes: set})
	}
	template := &x509.Certificate{SerialNumber: serial, RawSubject: must(asn1.Marshal(name))(t)}
	return must(x509.CreateCertificate(rand.Reader, template, template, &appKey().PublicKey, appKey()))(t)
}

// TestCertificateIssuers: the e2e test of the same name has the Node SDK itself compute such numbers.
func TestCertificateIssuers(t *testing.T) {
	at := func(last int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 4, last} }
	cn := attribute{at(3), asn1.TagUTF8String, "Ant CA"}
	for name, c := range map[string]struct {
		attributes []attribute
		serial     *big.Int
		want       string // what is hashed
	}{
		"as usual": {
			[]attribute{{at(6), asn1.TagPrintableString, "CN"}, {at(10), asn1.TagUTF8String, "Ant, Inc"}, {at(11), asn1.TagUTF8String, "CA"}, cn},
			big.NewInt(7), "CN=Ant CA,OU=CA,O=Ant, Inc,C=CN7",
		},
		"place and mail": {
			[]attribute{{at(8), asn1.TagT61String, "ZJ"}, {at(7), asn1.TagPrintableString, "HZ"}, {asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, asn1.TagIA5String, "a@b"}},
			big.NewInt(7), "E=a@b,L=HZ,ST=ZJ7",
		},
		"serial number": {[]attribute{cn, {at(5), asn1.TagPrintableString, "12"}}, big.NewInt(7), "=12,CN=Ant CA7"},
		"title, street, unknown": {
			[]attribute{{at(12), asn1.TagUTF8String, "T"}, {at(9), asn1.TagUTF8String, "S"}, cn, {asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 9}, asn1.TagUTF8String, "x"}},
			big.NewInt(7), "=x,CN=Ant CA,=S,=T7",
		},
		"domain and user": {
			[]attribute{{asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, asn1.TagIA5String, "com"}, {asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, asn1.TagUTF8String, "u"}},
			big.NewInt(7), "=u,=com7",
		},
		"BMP string":         {[]attribute{{at(3), asn1.TagBMPString, "\x00A\x82\x9a"}}, big.NewInt(7), "CN=\x00A\ufffd\ufffd7"},
		"cut UTF-8":          {[]attribute{{at(3), asn1.TagBMPString, "\xe4\xbd\x41\xf0\x9f\x98\x80\xed\xa0\x80\xf4\x90"}}, big.NewInt(7), "CN=\ufffdA😀\ufffd\ufffd\ufffd\ufffd\ufffd7"},
		"long serial":        {[]attribute{cn}, new(big.Int).Lsh(big.NewInt(0xa1), 150), "CN=Ant CA" + new(big.Int).Lsh(big.NewInt(0xa1), 150).String()},
		"no issuer at all":   {nil, big.NewInt(7), "7"},
		"Chinese characters": {[]attribute{{at(3), asn1.TagUTF8String, "蚂蚁"}}, big.NewInt(7), "CN=蚂蚁7"},
	} {
		t.Run(name, func(t *testing.T) {
			sum := md5.Sum([]byte(c.want))
			sn, _, err := certSN(certified(t, c.serial, c.attributes...))
			if want := hex.EncodeToString(sum[:]); sn != want || err != nil {
				t.Errorf("got %s, %v, want %s", sn, err, want)
			}
		})
	}
}
