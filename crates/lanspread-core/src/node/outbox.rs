//! Outputs of the node that the runtime has not taken yet.
//!
//! Every part writes its outputs here. The runtime takes them in the order in which they were written.

use std::collections::VecDeque;

use lanspread_types::PeerId;
use lanspread_types::message::{Message, Refusal, Request, RequestId};

use crate::api::command::{CommandError, CommandId, Reply};
use crate::api::event::Event;
use crate::io::{CloseReason, ConnId, DiskJob, LinkId, Output};
use crate::roster::Roster;

/// Queue of outputs.
#[derive(Debug, Default)]
pub struct Outbox(VecDeque<Output>);

impl Outbox {
    /// Adds an output.
    pub fn push(&mut self, output: Output) {
        self.0.push_back(output);
    }

    /// Removes the oldest output.
    pub fn pop(&mut self) -> Option<Output> {
        self.0.pop_front()
    }

    /// Reports an event.
    pub fn event(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    /// Answers a command.
    pub fn reply(&mut self, id: CommandId, result: Result<Reply, CommandError>) {
        self.push(Output::Reply { id, result });
    }

    /// Starts a disk job.
    pub fn job(&mut self, job: DiskJob) {
        self.push(Output::Disk(job));
    }

    /// Sends a message on a control connection.
    pub fn send(&mut self, conn: ConnId, message: Message) {
        self.push(Output::Send { conn, message });
    }

    /// Sends a message to a peer if it is connected.
    pub fn send_to(&mut self, roster: &Roster, peer: &PeerId, message: Message) {
        if let Some(remote) = roster.get(peer) {
            self.send(remote.conn, message);
        }
    }

    /// Sends a message to all connected peers.
    pub fn send_to_all(&mut self, roster: &Roster, message: &Message) {
        roster.iter().for_each(|remote| self.send(remote.conn, message.clone()));
    }

    /// Closes a control connection.
    pub fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.push(Output::Close { conn, reason });
    }

    /// Sends a request to a source.
    pub fn request(&mut self, peer: PeerId, request: Request) {
        self.push(Output::Request { peer, request });
    }

    /// Cancels a request at a source.
    pub fn cancel(&mut self, (peer, id): (PeerId, RequestId)) {
        self.request(peer, Request::Cancel { id });
    }

    /// Closes our data connection to a source.
    pub fn drop_source(&mut self, peer: PeerId) {
        self.push(Output::DropSource { peer });
    }

    /// Refuses a request of another peer.
    pub fn refuse(&mut self, link: LinkId, id: RequestId, reason: Refusal) {
        self.push(Output::Refuse { link, id, reason });
    }
}
