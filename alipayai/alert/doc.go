// Package alert notifies operators, through Slack, PagerDuty, a webhook or any
// service that shoutrrr knows, that something is wrong, once, and that it is over,
// once.
//
// What is wrong is a [Kind] at a provider. [State] knows what is wrong since when;
// it outlives configurations. An [Alerter] is a State with the sinks and the
// logger of one configuration, and a [Monitor] turns what calls meet into alerts.
//
// Sending is never in a call's way: each sink has a bounded queue, which a
// goroutine works off that exists only while there is something to send.
package alert
