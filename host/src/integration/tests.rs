//! Tests of the room, with scripted gateways.
