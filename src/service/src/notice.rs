//! Channels through which people are told what becomes of orders, and what they were told.

use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use crate::{Error, Service};
use domain::{Input, OrderId, Rejection, notice::NewChannel};
use store::{ChannelRow, Delivery, Ending, MOST_CHANNELS};

/// Most deliveries in a list.
const MOST_DELIVERIES: i64 = 50;

/// How often it is asked whether a notice was delivered.
const ASK_EVERY: Duration = Duration::from_millis(200);

impl Service {
    /// Creates a channel, whose address and secret were checked.
    ///
    /// # Errors
    /// A name that is taken, or as many channels as there may be.
    pub async fn create_channel(
        &self,
        channel: &NewChannel,
        url: &SecretString,
        secret: Option<&SecretString>,
    ) -> Result<(), Error> {
        let (id, now) = (Uuid::now_v7(), self.clock.now());
        self.on_record("create_channel", &object(&channel.name), |tx| {
            Box::pin(async {
                if tx.insert_channel(id, channel, url, secret, now).await? {
                    return Ok(());
                }
                let allowed = format!(
                    "a channel has this name, or there are {MOST_CHANNELS} channels, which is the most: remove one first"
                );
                Err(Rejection::invalid(Input::Channel, &channel.name, allowed).into())
            })
        })
        .await
    }

    /// Enables or disables a channel. What waits for one that is enabled is sent at once.
    ///
    /// # Errors
    /// An unknown channel.
    pub async fn switch_channel(&self, name: &str, enabled: bool) -> Result<(), Error> {
        let done = if enabled { "enable_channel" } else { "disable_channel" };
        self.on_record(done, &object(name), |tx| {
            Box::pin(async {
                let is_there = tx.switch_channel(name, enabled).await?;
                if is_there { Ok(()) } else { Err(unknown(name).into()) }
            })
        })
        .await
    }

    /// Removes a channel, with all that it was told and was to be told.
    ///
    /// # Errors
    /// An unknown channel.
    pub async fn remove_channel(&self, name: &str) -> Result<(), Error> {
        self.on_record("remove_channel", &object(name), |tx| {
            Box::pin(async {
                let is_there = tx.remove_channel(name).await?;
                if is_there { Ok(()) } else { Err(unknown(name).into()) }
            })
        })
        .await
    }

    /// The secret of a channel.
    ///
    /// # Errors
    /// An unknown channel.
    pub async fn channel_secret(&self, name: &str) -> Result<Option<SecretString>, Error> {
        let channel = self.channel(name).await?;
        Ok(self.store.channel_secret(channel.id).await?)
    }

    /// Replaces the secret of a channel.
    ///
    /// # Errors
    /// An unknown channel.
    pub async fn replace_channel_secret(
        &self,
        name: &str,
        secret: &SecretString,
    ) -> Result<(), Error> {
        let id = self.channel(name).await?.id;
        self.on_record("replace_channel_secret", &object(name), |tx| {
            Box::pin(async {
                let is_there = tx.replace_channel_secret(id, secret).await?;
                if is_there { Ok(()) } else { Err(unknown(name).into()) }
            })
        })
        .await
    }

    /// Sends something through a channel to try it, and waits at most `within` for what comes
    /// of the first attempt: how it ended, and why it failed. None = no server sent it.
    ///
    /// # Errors
    /// An unknown channel, or one that is disabled.
    pub async fn try_channel(
        &self,
        name: &str,
        within: Duration,
    ) -> Result<Option<(Option<Ending>, String)>, Error> {
        let now = self.clock.now();
        if !self.channel(name).await?.enabled {
            let allowed = "the channel is disabled: enable it first with `sluice notify enable`";
            return Err(Rejection::invalid(Input::Channel, name, allowed).into());
        }
        let id = self
            .on_record("try_channel", &object(name), |tx| {
                Box::pin(async {
                    let id = tx.try_channel(name, now).await?;
                    id.ok_or_else(|| unknown(name).into())
                })
            })
            .await?;
        let asking = async {
            loop {
                match self.store.delivery(id).await? {
                    Some((made, ending, error)) if made > 0 => return Ok(Some((ending, error))),
                    Some(_) => tokio::time::sleep(ASK_EVERY).await,
                    None => return Ok(None),
                }
            }
        };
        tokio::time::timeout(within, asking).await.unwrap_or(Ok(None))
    }

    /// The channels, by name: none for a caller who may not manage access.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn channels(&self) -> Result<Vec<ChannelRow>, Error> {
        if self.manages_access() { Ok(self.store.channels().await?) } else { Ok(Vec::new()) }
    }

    /// The channel of this name.
    ///
    /// # Errors
    /// An unknown channel.
    pub async fn channel(&self, name: &str) -> Result<ChannelRow, Error> {
        let found = self.channels().await?.into_iter().find(|it| it.channel.name == name);
        found.ok_or_else(|| unknown(name).into())
    }

    /// The last deliveries to a channel, the newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn deliveries(&self, channel: &str) -> Result<Vec<Delivery>, Error> {
        Ok(self.store.deliveries(Some(channel), None, MOST_DELIVERIES).await?)
    }

    /// What was told, or is to be told, of an order that the caller may see, the newest first;
    /// through which channel, and what its receiver says, only to those who may see channels.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn told_of(&self, order: OrderId) -> Result<Vec<Delivery>, Error> {
        let mut told = self.store.deliveries(None, Some(order), MOST_DELIVERIES).await?;
        if !self.manages_access() {
            for delivery in &mut told {
                delivery.channel.clear();
                delivery.error.clear();
            }
        }
        Ok(told)
    }
}

fn object(channel: &str) -> String {
    format!("channel/{channel}")
}

fn unknown(channel: &str) -> Rejection {
    Rejection::UnknownChannel(channel.into())
}
