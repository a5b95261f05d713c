package workspace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// team is a workspace of layers that extend each other (ml extends science, which extends base),
// six that extend none, and these consumers.
func team(consumers string) map[string]string {
	files := map[string]string{
		"consumers.yaml":     consumers,
		"base/layer.yaml":    "",
		"science/layer.yaml": "extends: base",
		"aws/layer.yaml":     "extends: base",
		"ml/layer.yaml":      "extends: science",
	}
	for _, name := range []string{"one", "two", "three", "four", "five", "six"} {
		files[name+"/layer.yaml"] = ""
	}

	return files
}

func TestLoadReadsConsumers(t *testing.T) {
	w, err := Load(layers(team(`# who uses what
consumers:
  - function: data-validation
    layers: [ml, aws]
    alias: live
    health: { alarm: data-validation-errors, window: 90s }

  - tag: { team: pricing, "aws:cloudformation:stack-name": prices, tier: 1, empty: "" }
    layers: base
    health:
      alarm: "{function}-errors"
  - layers:
      - aws
      - base
    function: arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:report
  - { function: data-check, layers: [base], alias: 2-beta }
  - { function: wide, layers: [one, two, three, four, five] }
`)), "layers")
	if err != nil {
		t.Fatal(lines(err))
	}

	want := []Consumer{
		{
			Function: "data-validation",
			Layers:   []string{"base", "aws", "science", "ml"},
			Alias:    "live",
			Health:   Health{"data-validation-errors", 90},
			Line:     3,
		},
		{
			Tag: map[string]string{
				"team":                          "pricing",
				"aws:cloudformation:stack-name": "prices",
				"tier":                          "1",
				"empty":                         "",
			},
			Layers: []string{"base"},
			Health: Health{"{function}-errors", 300},
			Line:   8,
		},
		{
			Function: "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:report",
			Layers:   []string{"base", "aws"},
			Line:     12,
		},
		{Function: "data-check", Layers: []string{"base"}, Alias: "2-beta", Line: 16},
		{Function: "wide", Layers: []string{"five", "four", "one", "three", "two"}, Line: 17},
	}
	if diff := cmp.Diff(want, w.Consumers); diff != "" {
		t.Error(diff)
	}
}

func TestConsumersMayBeAbsent(t *testing.T) {
	for sentence, text := range map[string]string{
		"an empty file":   "",
		"comments only":   "# later\n",
		"an empty object": "{}",
		"an empty list":   "consumers: []\n",
	} {
		w, err := Load(layers(team(text)), "layers")
		if err != nil || len(w.Consumers) > 0 {
			t.Errorf("%s: %v, %v", sentence, w.Consumers, err)
		}
	}
}

// A stack is in Lambda's order, whatever the order in the file: a layer comes after those that it
// extends.
func TestStacksAreCompleteAndInOrder(t *testing.T) {
	for listed, want := range map[string]string{
		"ml":                       "base science ml",
		"[ml, science]":            "base science ml",
		"[science, ml, base, aws]": "base aws science ml",
		"[two, one]":               "one two",
	} {
		w, err := Load(layers(team("consumers: [{ function: f, layers: "+listed+" }]")), "layers")
		if err != nil {
			t.Fatal(lines(err))
		}

		if got := strings.Join(w.Consumers[0].Layers, " "); got != want {
			t.Errorf("%s: got %s, want %s", listed, got, want)
		}
	}
}

const (
	functionHint = "  hint: a name has letters, digits, - and _, at most 64; an ARN is " +
		"arn:aws:lambda:<region>:<account>:function:<name>\n"
	aliasHint  = "  hint: use letters, digits, - and _, at most 128 characters; a number alone is a version\n"
	layersHint = "  hint: name the layers that the function uses: base, aws, five, four, science, ml, one, six, " +
		"three, two\n"
	windowHint = "  hint: write it as 5m or 90s\n"
)

func TestLoadSaysWhatIsWrongWithConsumers(t *testing.T) {
	const at = "layers/consumers.yaml:"
	long := strings.Repeat("x", 65)
	entry := func(rest string) string { return "consumers:\n- function: f\n  layers: base\n  " + rest + "\n" }
	function := func(name string) string { return "consumers:\n- layers: base\n  function: " + name + "\n" }
	const arn = "arn:aws:lambda:eu-west-1:123456789012:function:f"
	for sentence, tt := range map[string]struct{ yaml, want string }{
		"another key in the file": {
			"consumer: []\n",
			at + "1: unknown key \"consumer\"\n  hint: did you mean \"consumers\"?\n",
		},
		"no list": {
			"consumers:\n  function: f\n  layers: base\n",
			at + "1: expected a list\n" + keysHint,
		},
		"nothing where the list is": {"consumers:\n", at + "1: expected a list\n" + keysHint},
		"a list in place of the file": {
			"- function: f\n  layers: base\n",
			at + "1: expected a mapping, for example { key: value }\n" + keysHint,
		},
		"an entry that is a name": {
			"consumers:\n- f\n",
			at + "2: expected a mapping, for example { function: NAME, layers: [LAYER] }\n" + keysHint,
		},
		"an entry of nothing": {
			"consumers:\n- {}\n",
			at + "2: function is missing\n  hint: add function: with a name or an ARN, or tag: with the tags of the " +
				"functions\n" + at + "2: layers is missing\n" + layersHint,
		},
		"an unknown key in an entry": {
			entry("healt: { alarm: a }"),
			at + "4: unknown key \"healt\"\n  hint: did you mean \"health\"?\n",
		},
		"not YAML": {
			"consumers: [\n",
			at + "1: not YAML: sequence end token ']' not found\n" + yamlHint,
		},
		"an alias of YAML": {
			"consumers:\n- function: &f f\n  layers: base\n  alias: *f\n",
			at + "4: YAML aliases are not supported\n  hint: repeat the value\n",
		},
		"neither function nor tag": {
			"consumers:\n- layers: base\n",
			at + "2: function is missing\n  hint: add function: with a name or an ARN, or tag: with the tags of the " +
				"functions\n",
		},
		"function and tag": {
			entry("tag: { team: x }"),
			at + "2: function and tag exclude each other\n  hint: make two entries\n",
		},
		"a function that is a path": {
			function("a/b"),
			at + "3: \"a/b\" is not a function's name or unqualified ARN\n" + functionHint,
		},
		"a function with a long name": {
			function(long),
			at + "3: \"" + long + "\" is not a function's name or unqualified ARN\n" + functionHint,
		},
		"a function with an empty name": {
			function(`""`),
			at + "3: \"\" is not a function's name or unqualified ARN\n" + functionHint,
		},
		"a name with an alias": {
			function("f:live"),
			at + "3: \"f:live\" is not a function's name or unqualified ARN\n  hint: write function: f, and its " +
				"alias as alias:\n",
		},
		"an ARN with an alias": {
			function(arn + ":live"),
			at + "3: \"" + arn + ":live\" is not a function's name or unqualified ARN\n  hint: write function: " +
				arn + ", and its alias as alias:\n",
		},
		"an ARN with $LATEST": {
			function(arn + ":$LATEST"),
			at + "3: \"" + arn + ":$LATEST\" is not a function's name or unqualified ARN\n  hint: write function: " +
				arn + "\n",
		},
		"a partial ARN": {
			function("123456789012:function:f"),
			at + "3: \"123456789012:function:f\" is not a function's name or unqualified ARN\n" + functionHint,
		},
		"the ARN of a layer": {
			function("arn:aws:lambda:eu-west-1:123456789012:layer:f"),
			at + "3: \"arn:aws:lambda:eu-west-1:123456789012:layer:f\" is not a function's name or unqualified ARN\n" +
				functionHint,
		},
		"functions as a list": {function("[f, g]"), at + "3: expected text\n" + keysHint},
		"a tag that is text": {
			"consumers:\n- tag: team=pricing\n  layers: base\n",
			at + "2: expected a mapping, for example { team: pricing }\n" + keysHint,
		},
		"no tag": {
			"consumers:\n- tag: {}\n  layers: base\n",
			at + "2: tag is empty\n  hint: write it as tag: { team: pricing }\n",
		},
		"a tag without value": {
			"consumers:\n- tag: { team: }\n  layers: base\n",
			at + "2: expected text\n" + keysHint + at + "2: tag is empty\n  hint: write it as tag: { team: pricing }\n",
		},
		"a tag that is too long": {
			"consumers:\n- tag:\n    team: " + strings.Repeat("y", 257) + "\n  layers: base\n",
			at + "3: \"team\": \"" + strings.Repeat("y", 40) + "\" is not a tag\n  hint: a key has 1 to 128 " +
				"characters, a value up to 256, on one line\n",
		},
		"no layers": {
			"consumers:\n- function: f\n",
			at + "2: layers is missing\n" + layersHint,
		},
		"an empty list of layers": {
			"consumers:\n- function: f\n  layers: []\n",
			at + "3: layers is empty\n" + layersHint,
		},
		"nothing where layers are": {
			"consumers:\n- function: f\n  layers:\n",
			at + "3: expected text\n" + keysHint,
		},
		"an unknown layer, nearly a known": {
			"consumers:\n- function: f\n  layers:\n  - base\n  - sciense\n",
			at + "5: \"sciense\" is not a layer\n  hint: did you mean \"science\"?\n",
		},
		"a layer twice": {
			"consumers:\n- function: f\n  layers:\n  - base\n  - aws\n  - base\n",
			at + "6: layer base is listed twice\n  hint: remove one of them\n",
		},
		"six layers": {
			"consumers:\n- function: f\n  layers: [one, two, three, four, five, six]\n",
			at + "3: needs 6 layers with those they extend: five, four, one, six, three, two; a Lambda function may " +
				"have 5\n  hint: merge some of the layers\n",
		},
		"six layers with those they extend": {
			"consumers:\n- function: f\n  layers: [ml, aws, one, two]\n",
			at + "3: needs 6 layers with those they extend: base, aws, science, ml, one, two; a Lambda function may " +
				"have 5\n  hint: merge some of the layers\n",
		},
		"$LATEST as alias": {
			entry("alias: $LATEST"),
			at + "4: $LATEST is not an alias\n  hint: leave out alias to move only $LATEST\n",
		},
		"a version as alias": {
			entry("alias: 7"),
			at + "4: \"7\" is not an alias name\n" + aliasHint,
		},
		"an alias with a space": {
			entry("alias: to be"),
			at + "4: \"to be\" is not an alias name\n" + aliasHint,
		},
		"an empty alias": {
			entry(`alias: ""`),
			at + "4: \"\" is not an alias name\n" + aliasHint,
		},
		"a long alias": {
			entry("alias: " + strings.Repeat("z", 129)),
			at + "4: \"" + strings.Repeat("z", 129) + "\" is not an alias name\n" + aliasHint,
		},
		"health without an alarm": {
			entry("health: { window: 5m }"),
			at + "4: alarm is missing\n  hint: name a CloudWatch alarm, or leave out health\n",
		},
		"health that is nothing": {
			entry("health:"),
			at + "4: alarm is missing\n  hint: name a CloudWatch alarm, or leave out health\n",
		},
		"health that is text": {
			entry("health: f-errors"),
			at + "4: expected a mapping, for example { alarm: NAME, window: 5m }\n" + keysHint,
		},
		"an unknown key in health": {
			entry("health: { alarm: a, windows: 5m }"),
			at + "4: unknown key \"windows\"\n  hint: did you mean \"window\"?\n",
		},
		"an empty alarm": {
			entry(`health: { alarm: "" }`),
			at + "4: \"\" is not an alarm name\n  hint: 1 to 255 characters, on one line\n",
		},
		"an alarm with an unknown variable": {
			entry(`health: { alarm: "{name}-errors" }`),
			at + "4: unknown variable {name} in an alarm name\n  hint: only {function} is replaced, by the " +
				"function's name\n",
		},
		"two alarms": {entry("health: { alarm: [a, b] }"), at + "4: expected text\n" + keysHint},
		"a window without a unit": {
			entry("health: { alarm: a, window: 300 }"),
			at + "4: \"300\" is not a duration\n" + windowHint,
		},
		"a window in two units": {
			entry("health: { alarm: a, window: 1m30s }"),
			at + "4: \"1m30s\" is not a duration\n" + windowHint,
		},
		"a window that is too short": {
			entry("health: { alarm: a, window: 59s }"),
			at + "4: window 59s is out of range: 1m to 1h\n  hint: write it as 10m\n",
		},
		"a window that is too long": {
			entry("health: { alarm: a, window: 61m }"),
			at + "4: window 61m is out of range: 1m to 1h\n  hint: write it as 10m\n",
		},
		"a window that is far too long": {
			entry("health: { alarm: a, window: 99999999999999999999h }"),
			at + "4: \"99999999999999999999h\" is not a duration\n" + windowHint,
		},
		"a function twice": {
			"consumers:\n- { function: f, layers: base }\n- { function: g, layers: base }\n- { function: f, layers: " +
				"aws }\n",
			at + "4: f is listed twice\n  hint: merge it with line 2\n",
		},
		"a function for two aliases": {
			"consumers:\n- { function: f, layers: base, alias: a }\n- { function: f, layers: base, alias: b }\n",
			at + "3: f is listed twice\n  hint: merge it with line 2\n",
		},
		"a function by name and by ARN": {
			"consumers:\n- { function: f, layers: base }\n- { function: \"" + arn + "\", layers: aws }\n",
			at + "3: " + arn + " is listed twice\n  hint: merge it with line 2\n",
		},
		"tags twice, in another order": {
			"consumers:\n- { tag: { a: x, b: y }, layers: base }\n- { tag: { b: y, a: x }, layers: aws }\n",
			at + "3: tag a=x, b=y is listed twice\n  hint: merge it with line 2\n",
		},
		"several things in the order of line": {
			"consumers:\n- function: f\n  layer: base\n  alias: 1\n- tag: { team: x }\n  layers: bse\n",
			at + "2: layers is missing\n" + layersHint + at + "3: unknown key \"layer\"\n  hint: did you mean " +
				"\"layers\"?\n" + at + "4: \"1\" is not an alias name\n" + aliasHint + at + "6: \"bse\" is " +
				"not a layer\n  hint: did you mean \"base\"?\n",
		},
		"brackets that nest too deep": {
			"consumers: " + strings.Repeat("[", 33),
			"layers/consumers.yaml: nested 33 deep, limit 32\n" + yamlHint,
		},
		"a file that is too large": {
			strings.Repeat("#", 64<<10) + "\n",
			"layers/consumers.yaml: 65537 bytes, limit 65536\n" + sizeHint,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := Load(layers(team(tt.yaml)), "layers")
			if diff := cmp.Diff(tt.want, lines(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Consumers are no part of a layer's digest: a change of an alias must not cause a build.
func TestConsumersDoNotChangeALayer(t *testing.T) {
	var want string
	for _, consumers := range []string{
		"",
		"consumers: [{ function: f, layers: ml }]",
		"consumers: [{ function: f, layers: [ml, aws], alias: live }]",
	} {
		w, err := Load(layers(team(consumers)), "layers")
		if err != nil {
			t.Fatal(lines(err))
		}

		var digests []string
		for _, l := range w.Layers {
			digests = append(digests, l.Name+" "+l.Digest.String())
		}

		got := strings.Join(digests, "\n")
		if want == "" {
			want = got
		}

		if got != want {
			t.Errorf("with %q:\n%s\nwant\n%s", consumers, got, want)
		}
	}
}

func TestAlarmOfAFunction(t *testing.T) {
	for alarm, want := range map[string]string{
		"errors":                "errors",
		"{function}-errors":     "f-errors",
		"{function}/{function}": "f/f",
		"":                      "",
	} {
		for _, function := range []string{"f", "arn:aws:lambda:eu-west-1:123456789012:function:f"} {
			if got := (Health{Alarm: alarm}).AlarmOf(function); got != want {
				t.Errorf("%s of %s: got %q, want %q", alarm, function, got, want)
			}
		}
	}
}

// checkAccepted checks what holds of every consumer that Load accepts.
func checkAccepted(t *testing.T, w Workspace, c Consumer) {
	t.Helper()
	if (c.Function == "") == (len(c.Tag) == 0) || len(c.Layers) == 0 || len(c.Layers) > MaxLayers || c.Line < 1 {
		t.Errorf("accepted %+v", c)
	}

	window := c.Health.WindowSeconds
	if (c.Health.Alarm == "") != (window == 0) ||
		window != 0 && (window < minWindowSeconds || window > maxWindowSeconds) {
		t.Errorf("accepted %+v", c.Health)
	}

	for i, name := range c.Layers {
		for _, below := range w.Below(name) {
			if !slices.Contains(c.Layers[:i], below) {
				t.Errorf("%s does not come after %s: %v", name, below, c.Layers)
			}
		}
	}
}

func FuzzConsumers(f *testing.F) {
	f.Add("consumers:\n- function: f\n  layers: [ml, aws]\n  alias: live\n  health: { alarm: a, window: 5m }\n")
	f.Add("consumers: [{tag: {a: b, ? c : d}, layers: base}, {tag: !!map {}, layers: [&x base, *x]}]")
	f.Add("consumers:\n- {function: 1, layers: [[base]], health: {window: .inf, alarm: \"{x}\"}}\n- \n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "[")+strings.Count(text, "{") > 200 {
			return // the parser takes quadratic time
		}

		w, err := Load(layers(team(text)), "layers")
		_, again := Load(layers(team(text)), "layers")
		if lines(err) != lines(again) {
			t.Errorf("two readings differ:\n%s\n%s", lines(err), lines(again))
		}

		seen := map[string]bool{}
		for _, c := range w.Consumers {
			checkAccepted(t, w, c)
			id := fmt.Sprint(c.Function, c.Tag, c.Alias)
			if seen[id] {
				t.Errorf("accepted twice: %+v", c)
			}

			seen[id] = true
		}
	})
}
