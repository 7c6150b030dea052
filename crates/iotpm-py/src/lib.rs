//! Python extension module iotpm._core.
