use std::cell::{Cell, RefCell};
use std::io::ErrorKind;

use super::*;

/// What a disk does instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// It has room for one more byte only.
    Full,
    /// It took the bytes but cannot sync them, and forgets them.
    Sync,
    /// It cannot even give space back.
    SetLen,
}

/// A disk that fails as often as it is told. What is not synced is lost by a crash.
#[derive(Default)]
struct Disk {
    written: RefCell<Vec<u8>>,
    synced: RefCell<Vec<u8>>,
    faults: RefCell<Vec<Fault>>,
    syncs: Cell<usize>,
}

impl Disk {
    fn fails(&self, fault: Fault) -> io::Result<()> {
        let mut faults = self.faults.borrow_mut();
        if faults.first() == Some(&fault) {
            faults.remove(0);
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl super::Disk for &Disk {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut written = self.written.borrow_mut();
        assert_eq!(
            written.len() as u64,
            offset,
            "rests of an attempt were left"
        );
        if let Err(full) = self.fails(Fault::Full) {
            written.push(bytes[0]);
            return Err(full);
        }
        written.extend(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.set(self.syncs.get() + 1);
        let synced = self.synced.borrow().len();
        if let Err(error) = self.fails(Fault::Sync) {
            self.written.borrow_mut()[synced..].fill(0);
            return Err(error);
        }
        self.synced.replace(self.written.borrow().clone());
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fails(Fault::SetLen)?;
        self.written.borrow_mut().truncate(len as usize);
        Ok(())
    }
}

#[test]
fn after_any_faults_a_file_has_every_commit_once() {
    use Fault::{Full, SetLen, Sync};
    let table: [&[Fault]; 7] = [
        &[],
        &[Full],
        &[Sync],
        &[Full, SetLen],
        &[Sync, SetLen],
        &[SetLen],
        &[Full, SetLen, SetLen, Sync, Sync, SetLen, Full, Full],
    ];
    for faults in table {
        let disk = Disk::default();
        let mut tail = Tail::cut(&disk, 0).unwrap();
        tail.append(b"first").unwrap();
        disk.faults.replace(faults.to_vec());
        let mut attempts = 1;
        while tail.append(b"second").is_err() {
            assert_eq!(tail.len(), 5);
            assert_eq!(*disk.synced.borrow(), b"first");
            attempts += 1;
            assert!(attempts < 20, "{faults:?}");
        }
        tail.append(b"third").unwrap();
        assert_eq!(*disk.synced.borrow(), b"firstsecondthird", "{faults:?}");
        assert_eq!(tail.len(), 16);
    }
}

#[test]
fn what_a_crash_left_behind_the_good_bytes_is_cut_off() {
    let disk = Disk::default();
    disk.written.replace(b"goodTORN".to_vec());
    let mut tail = Tail::cut(&disk, 4).unwrap();
    tail.append(b"more").unwrap();
    assert_eq!(*disk.synced.borrow(), b"goodmore");
}

#[test]
fn a_commit_is_synced_once() {
    let disk = Disk::default();
    let mut tail = Tail::cut(&disk, 0).unwrap();
    tail.append(b"first").unwrap();
    tail.append(b"second").unwrap();
    assert_eq!(disk.syncs.get(), 2);
}
