//! What a test asks of its calendars: to be compared with what was written, and what of ours is in them.

use meeting_mirror::simulated_google::SimulatedEvent;

use super::TestApp;

impl TestApp {
    /// Compares every calendar with what was written, now, and lets the mirror put differences right.
    pub(crate) async fn check_calendars(&self) {
        for calendar in self.store.calendars().await.unwrap() {
            let mut tx = self.store.write().await.unwrap();
            tx.check_calendar_at(calendar.id, self.now()).await.unwrap();
            tx.resume_calendar(calendar.id).await.unwrap();
            tx.commit().await.unwrap();
        }
        let checker = self.checker.as_ref().expect("this test has no Google");
        checker.check_due().await.unwrap();
        self.settle().await;
    }

    /// The events in a calendar that are not deleted and carry our mark, by meeting id.
    pub(crate) fn mirrored(&self, calendar: &str) -> Vec<(String, SimulatedEvent)> {
        let events = self.google.as_ref().expect("this test has no Google").events(calendar);
        let mut ours: Vec<(String, SimulatedEvent)> = events
            .into_iter()
            .filter(|event| !event.is_deleted())
            .filter_map(|event| Some((event.private_properties.get("meetingMirrorMeeting")?.clone(), event)))
            .collect();
        ours.sort_by(|a, b| a.0.cmp(&b.0));
        ours
    }
}
