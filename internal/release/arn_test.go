package release

import "testing"

func TestLayerVersionARNsAreRead(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		arn, name string
		version   int64
	}{
		"a version": {
			"arn:aws:lambda:us-east-1:123456789012:layer:layersmith-base:41",
			"layersmith-base",
			41,
		},
		"of another partition": {"arn:aws-cn:lambda:cn-north-1:123456789012:layer:base_2:1", "base_2", 1},
		"more versions than 32 bits say": {
			"arn:aws:lambda:us-east-1:123456789012:layer:base:9223372036854775807",
			"base",
			1<<63 - 1,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			name, version, err := ParseLayerVersionARN(tt.arn)
			if err != nil || name != tt.name || version != tt.version {
				t.Errorf("%q, %d, %v; want %q, %d", name, version, err, tt.name, tt.version)
			}

			if got := NameOf(tt.arn); got != tt.name {
				t.Errorf("NameOf is %q, want %q", got, tt.name)
			}
		})
	}
}

func TestWhatIsNoLayerVersionIsRefused(t *testing.T) {
	t.Parallel()
	for sentence, arn := range map[string]string{
		"nothing":                       "",
		"a name":                        "layersmith-base",
		"a layer without a version":     "arn:aws:lambda:us-east-1:123456789012:layer:layersmith-base",
		"a version without a layer":     "arn:aws:lambda:us-east-1:123456789012:layer::1",
		"a function":                    "arn:aws:lambda:us-east-1:123456789012:function:orders:41",
		"something of another service":  "arn:aws:s3:us-east-1:123456789012:layer:base:1",
		"no ARN at all":                 "urn:aws:lambda:us-east-1:123456789012:layer:base:1",
		"version 0":                     "arn:aws:lambda:us-east-1:123456789012:layer:base:0",
		"a negative version":            "arn:aws:lambda:us-east-1:123456789012:layer:base:-1",
		"a version that is no number":   "arn:aws:lambda:us-east-1:123456789012:layer:base:latest",
		"a version past 64 bits":        "arn:aws:lambda:us-east-1:123456789012:layer:base:9223372036854775808",
		"an alias behind the version":   "arn:aws:lambda:us-east-1:123456789012:layer:base:1:live",
		"white space behind the number": "arn:aws:lambda:us-east-1:123456789012:layer:base:1 ",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			name, version, err := ParseLayerVersionARN(arn)
			if want := `"` + arn + `" is not the ARN of a layer version`; err == nil || err.Error() != want ||
				name != "" ||
				version != 0 {
				t.Errorf("%q, %d, %v; want the error %s", name, version, err, want)
			}

			if got := NameOf(arn); got != "" {
				t.Errorf("NameOf is %q, want none", got)
			}
		})
	}
}
