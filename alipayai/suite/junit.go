package suite

import (
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"time"
)

// The elements and attributes are those that Jenkins, GitLab and the xUnit plug-in read: attributes that count, a test
// case with at most one of failure and error, and times in seconds
// (https://github.com/jenkinsci/xunit-plugin, src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd).
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure"`
		Error   *junitProblem `xml:"error"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
	}
)

// WriteJUnit writes the report as JUnit's XML: a test case for each prompt, a failure for one whose expectations did not
// hold, and an error for one that could not be judged.
func (r *Report) WriteJUnit(to io.Writer) error {
	s := junitSuite{
		Name: r.Suite, Tests: len(r.Results), Failures: r.Count(Fail), Errors: r.Count(Unknown),
		Time: seconds(r.Ended.Sub(r.Began)), Timestamp: r.Began.UTC().Format("2006-01-02T15:04:05"),
	}
	for _, result := range r.Results {
		c := junitCase{Name: result.ID, Class: r.Suite + "." + r.Provider, Time: seconds(result.Took)}
		switch result.Status {
		case Fail:
			var why []string
			for _, f := range result.Failed {
				why = append(why, f.Expectation+": "+f.Why)
			}
			c.Failure = &junitProblem{visible(strings.Join(why, "; ")), result.Failed[0].Expectation}
		case Unknown:
			c.Error = &junitProblem{visible("there is no answer: " + result.Code), visible(result.Code)}
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(to, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(to)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Suites: []junitSuite{s}}); err != nil {
		return err
	}
	_, err := io.WriteString(to, "\n")
	return err
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

// visible takes out what XML 1.0 cannot have, and what would break a line of a report.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
