// Command readopt is a Lambda function that tells what it sees of its surroundings.
package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

type seen struct {
	Greeting, Tool, Home, Denied, Late string
}

func main() {
	lambda.Start(func(_ context.Context, in struct{ Fail bool }) (seen, error) {
		if in.Fail {
			return seen{}, errors.New("asked to")
		}
		greeting, err := os.ReadFile("/opt/greeting")
		if err != nil {
			return seen{}, err
		}
		tool, err := exec.Command("/opt/bin/tool").Output()
		if err != nil {
			return seen{}, err
		}
		late, _ := os.ReadFile("/opt/which")
		denied := ""
		if err := os.WriteFile("/var/task/written", nil, 0o600); err != nil {
			denied = err.Error()
		}
		if err := os.WriteFile("/tmp/written", nil, 0o600); err != nil {
			return seen{}, err
		}
		return seen{
			Greeting: string(greeting),
			Tool:     strings.TrimSpace(string(tool)),
			Home:     os.Getenv("HOME"),
			Denied:   denied,
			Late:     string(late),
		}, nil
	})
}
