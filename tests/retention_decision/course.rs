//! The laws over the course of time.
