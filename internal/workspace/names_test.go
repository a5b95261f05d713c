package workspace

import "testing"

func TestWhere(t *testing.T) {
	t.Parallel()
	l := loadLayer(t, []byte("services: [s3,\n  sqs]\nmodules:\n  scipy: [linalg]\nkeep:\n"+
		"  - { match: a, reason: b }\n"), nil)
	for key, names := range map[string]map[string]string{
		"services":      {"s3": ":1", "sqs": ":2"},
		"modules":       {"scipy": ":4", "other": ""},
		"modules scipy": {"linalg": ":4"},
		"keep":          {"a": ":6"},
	} {
		for name, line := range names {
			if got := l.Where(key, name); got != "layers/a/layer.yaml"+line {
				t.Errorf("%s %s: %s, want line %q", key, name, got, line)
			}
		}
	}

	if got := (Layer{Name: "main"}).Where("keep", "a"); got != "main/layer.yaml" {
		t.Error(got)
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	services := []string{"dynamodb", "dynamodbstreams", "s3", "sqs"}
	for word, want := range map[string]string{
		"dynamo": `did you mean "dynamodb"?`,
		"SQS":    `did you mean "sqs"?`,
		"z":      "known: dynamodb, dynamodbstreams, s3, sqs",
	} {
		if got := Suggest(word, services); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}

	many := make([]string, 13)
	for i := range many {
		many[i] = "word"
	}

	if got := Suggest("z", many); got[:23] != "13 are known, for examp" {
		t.Error(got)
	}
}
