package awsport

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/layersmith/layersmith/internal/workflow"
)

// The limits of a message (API: Publish).
const (
	maxSubjectBytes = 100
	maxMessageBytes = 256 << 10
)

type notifyAPI interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Notify sends messages to a topic of SNS.
type Notify struct {
	Client notifyAPI
	Topic  string // ARN
}

var _ workflow.Notify = Notify{}.Send

// Send publishes the message. A text that SNS would refuse is shortened, and characters that a
// subject may not have are replaced: part of a message about a failure is better than no message.
func (n Notify) Send(ctx context.Context, subject, text string) error {
	in := &sns.PublishInput{TopicArn: &n.Topic, Message: aws.String(cut(text))}
	if s := asciiSubject(subject); s != "" {
		in.Subject = &s
	}

	if _, err := n.Client.Publish(ctx, in); err != nil {
		return classify("notify", n.Topic, err)
	}

	return nil
}

// asciiSubject makes one line of printable ASCII that does not begin with a space, with at most 100
// characters.
func asciiSubject(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f:
			return ' '
		case r > 0x7f:
			return '?'
		}

		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	return strings.TrimSpace(s[:min(len(s), maxSubjectBytes)])
}

const cutMark = "\n[cut: the message was too long]"

func cut(text string) string {
	if len(text) <= maxMessageBytes {
		return text
	}

	end := maxMessageBytes - len(cutMark)
	for !utf8.RuneStart(text[end]) {
		end--
	}

	return text[:end] + cutMark
}
