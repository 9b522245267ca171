//! Services and CIDR groups, as far as policies refer to them.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Label;

/// A Kubernetes Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its labels, key and value.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Pod selector, key and value; empty for a Service without one.
    pub selector: Vec<(Arc<str>, Arc<str>)>,
    /// Addresses of its backends.
    pub endpoints: Vec<IpAddr>,
}

/// A CiliumCIDRGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CidrGroup {
    /// Its name.
    pub name: Arc<str>,
    /// Labels of the object, key and value.
    pub labels: Vec<Label>,
    /// Its prefixes, host bits masked.
    pub prefixes: Vec<IpNet>,
}
