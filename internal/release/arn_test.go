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

			if got := LayerNameOf(tt.arn); got != tt.name {
				t.Errorf("LayerNameOf is %q, want %q", got, tt.name)
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

			if got := LayerNameOf(arn); got != "" {
				t.Errorf("LayerNameOf is %q, want none", got)
			}
		})
	}
}

func TestARNsAreParsed(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]ARN{
		"arn:aws:lambda:eu-west-1:123456789012:function:orders": {
			"aws", "lambda", "eu-west-1", "123456789012", "function", "orders", "",
		},
		"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:orders:live": {
			"aws-us-gov", "lambda", "us-gov-west-1", "123456789012", "function", "orders", "live",
		},
		"arn:aws-cn:lambda:cn-north-1:123456789012:layer:base:7": {
			"aws-cn", "lambda", "cn-north-1", "123456789012", "layer", "base", "7",
		},
		"arn:aws:states:eu-west-1:123456789012:execution:Layersmith:run-1": {
			"aws", "states", "eu-west-1", "123456789012", "execution", "Layersmith", "run-1",
		},
		"arn:aws:sns:::topic:alerts": {"aws", "sns", "", "", "topic", "alerts", ""},
	} {
		got, err := ParseARN(s)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", s, got, err, want)
		}

		if got.String() != s {
			t.Errorf("%s is written as %s", s, got)
		}
	}

	for _, s := range []string{
		"",
		"orders",
		"arn:",
		"arn:aws:s3:::bucket",
		"urn:aws:lambda:eu-west-1:123456789012:function:orders",
		"arn::lambda:eu-west-1:123456789012:function:orders",
		"arn:aws::eu-west-1:123456789012:function:orders",
		"arn:aws:lambda:eu-west-1:123456789012::orders",
		"arn:aws:lambda:eu-west-1:123456789012:function:",
		"arn:aws:lambda:eu-west-1:123456789012:function:orders:",
		"arn:aws:lambda:eu-west-1:123456789012:function:orders:live:1",
	} {
		a, err := ParseARN(s)
		if want := `"` + s + `" is not an ARN`; err == nil || err.Error() != want || a != (ARN{}) {
			t.Errorf("%+v, %v; want the error %s", a, err, want)
		}
	}
}

func TestPartsOfARNs(t *testing.T) {
	t.Parallel()
	const (
		account  = "arn:aws:lambda:eu-west-1:123456789012:"
		function = account + "function:orders"
		machine  = "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:Layersmith"
		run      = "arn:aws-cn:states:cn-north-1:123456789012:execution:Layersmith:run-1"
	)
	parsed, err := ParseARN(machine)
	if err != nil {
		t.Fatal(err)
	}

	for name, tt := range map[string]struct{ got, want string }{
		"name of a function":                 {FunctionNameOf(function), "orders"},
		"name of a qualified function":       {FunctionNameOf(function + ":live"), "orders"},
		"name of a function given by name":   {FunctionNameOf("orders"), "orders"},
		"name of an execution":               {ExecutionNameOf(run), "run-1"},
		"name of an execution by name":       {ExecutionNameOf("run-1"), "run-1"},
		"execution of a state machine":       {parsed.Execution("run-1").String(), run},
		"function without its alias":         {Unqualified(function + ":live"), function},
		"function without an alias":          {Unqualified(function), function},
		"layer of a version":                 {Unqualified(account + "layer:base:7"), account + "layer:base"},
		"text that is no ARN, not qualified": {Unqualified("orders:live"), "orders:live"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", name, tt.got, tt.want)
		}
	}

	if !IsARN(run) || IsARN("run-1") {
		t.Error("IsARN does not tell an ARN from a name")
	}
}

func TestLayersAreComparedWithTheirAccount(t *testing.T) {
	t.Parallel()
	const layer = "arn:aws:lambda:eu-west-1:123456789012:layer:base:1"
	for other, want := range map[string]struct{ layer, account bool }{
		"arn:aws:lambda:eu-west-1:123456789012:layer:base:2":    {true, true},
		"arn:aws:lambda:eu-west-1:123456789012:layer:other:1":   {false, true},
		"arn:aws:lambda:eu-west-1:123456789012:function:base:1": {false, true},
		"arn:aws:lambda:eu-west-1:999999999999:layer:base:1":    {false, false},
		"arn:aws:lambda:eu-west-2:123456789012:layer:base:1":    {false, false},
		"arn:aws-cn:lambda:eu-west-1:123456789012:layer:base:1": {false, false},
		"base": {false, false},
	} {
		if got := SameLayer(layer, other); got != want.layer {
			t.Errorf("same layer as %s: %v", other, got)
		}

		if got := SameAccount(layer, other); got != want.account {
			t.Errorf("same account as %s: %v", other, got)
		}
	}

	if SameLayer("", "") || SameAccount("", "") {
		t.Error("texts that are no ARNs are compared as if they were")
	}
}
