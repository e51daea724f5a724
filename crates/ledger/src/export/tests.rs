use tempfile::TempDir;

use super::super::samples::ledger;
use super::*;

const TABLES: [Table; 4] = [Table::Shares, Table::Blocks, Table::Workers, Table::Minutes];

fn exported(directory: &Path, table: Table, format: Format) -> String {
    let mut out = Vec::new();
    export(directory, table, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn json_is_an_array_of_objects_whose_keys_are_the_columns() {
    let directory = TempDir::new().unwrap();
    let _open = ledger(directory.path());
    for (table, rows) in TABLES.into_iter().zip([8, 1, 3, 1]) {
        let text = exported(directory.path(), table, Format::Json);
        let parsed: Vec<Map<String, Value>> = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed.len(), rows, "{text}");
        for row in parsed {
            let mut columns: Vec<&str> = table.columns().to_vec();
            columns.sort_unstable();
            let mut keys: Vec<&String> = row.keys().collect();
            keys.sort_unstable();
            assert_eq!(keys, columns);
        }
    }
}

#[test]
fn csv_quotes_what_needs_it() {
    let directory = TempDir::new().unwrap();
    let _open = ledger(directory.path());
    let workers = exported(directory.path(), Table::Workers, Format::Csv);
    let expected = "user,worker,accepted,hashes,rejected,last_share_ms\r\n\
        alice,,3,3001.5,\"{\"\"stale-share\"\":1}\",1700000004000\r\n\
        bob,\"rig,1\",1,1000.5,{},1700000002000\r\n\
        \"\"\"carol\"\"\",,0,0.0,\"{\"\"stale-share\"\":1}\",1700000000000\r\n";
    assert_eq!(workers, expected);
}

#[test]
fn a_block_tells_its_story() {
    let directory = TempDir::new().unwrap();
    let _open = ledger(directory.path());
    let blocks = exported(directory.path(), Table::Blocks, Format::Csv);
    let expected = "hash,height,time_ms,user,worker,peer,channel_id,job_id,template_id,token,share,\
        verdict,verdict_ms,reason\r\n\
        0707070707070707070707070707070707070707070707070000000000000002,102,1700000000000,bob,\
        \"rig,1\",10.10.0.10:50000,3,3,7,,2,accepted,1700000000500,\r\n";
    assert_eq!(blocks, expected);
}

#[test]
fn shares_are_exported_up_to_the_last_whole_commit() {
    let directory = TempDir::new().unwrap();
    let _open = ledger(directory.path());
    let shares = exported(directory.path(), Table::Shares, Format::Csv);
    assert_eq!(shares.lines().count(), 9);
    let last = shares.lines().last().unwrap();
    assert_eq!(
        last,
        "1700000006000,bob,\"rig,1\",10.10.0.10:50000,3,3,true,,\
         0707070707070707070707070707070707070707070707070000000000000006,1000.5"
    );
}

#[test]
fn an_empty_table_is_an_empty_array() {
    let directory = TempDir::new().unwrap();
    let _open = super::super::recovery::open(directory.path()).unwrap();
    for table in TABLES {
        let text = exported(directory.path(), table, Format::Json);
        assert_eq!(serde_json::from_str::<Vec<Value>>(&text).unwrap().len(), 0);
    }
}
