use super::*;

fn code(text: &str) -> GroupCode {
    text.parse().unwrap()
}

fn entry(number: u64, subject: &str, language: &str, text: &str) -> Entry {
    Entry {
        post: PostId(number),
        groups: vec![code("AMR")],
        kind: PostKind::Discussion,
        message_ids: vec![format!("{number}@x.test")],
        references: Vec::new(),
        bundle: None,
        author: "Ana Example <ana@x.test>".into(),
        subject: subject.into(),
        texts: vec![(language.parse().ok(), text.into())],
    }
}

fn filled(entries: Vec<Entry>) -> (Index, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::open(folder.path()).unwrap();
    index.add(entries).unwrap();
    index.commit("one").unwrap();
    (index, folder)
}

fn numbers(index: &Index, group: &str, question: &str) -> Vec<u64> {
    let group = code(group);
    let scope = Scope { group: &group, statements: true };
    let mut found: Vec<u64> = index.search(scope, &Question::read(question), 0, 50).unwrap().posts.into_iter().map(|post| post.0).collect();
    found.sort_unstable();
    found
}

#[test]
fn each_language_finds_its_inflected_forms() {
    let (index, _folder) = filled(vec![
        entry(1, "Informe", "es", "Las declaraciones de coordinación de los grupos regionales"),
        entry(2, "Report", "en", "The liaison statements of the regional groups"),
        entry(3, "Rapport", "fr", "Les déclarations de liaison des groupes régionaux"),
        entry(4, "تقرير", "ar", "بيانات الاتصال للأفرقة الإقليمية"),
        entry(5, "报告", "zh", "第12研究组区域组的联络声明"),
        entry(6, "Отчет", "ru", "заявления о взаимодействии региональных групп"),
        entry(7, "x", "--", "Nothing of a known tongue"),
    ]);
    for (question, expected) in [
        ("declaración", vec![1]),
        ("declaracion coordinacion", vec![1]),
        ("statement", vec![2]),
        ("déclaration", vec![3]),
        ("بيان", vec![4]),
        ("البيان", vec![4]),
        ("联络声明", vec![5]),
        ("研究组", vec![5]),
        ("заявление", vec![6]),
        ("tongue", vec![7]),
        ("\"grupos regionales\"", vec![1]),
        ("\"regionales grupos\"", vec![]),
        ("group -statement", vec![3]),
        ("from:ana subject:informe", vec![1]),
        ("from:ben", vec![]),
        ("地研", vec![]),
    ] {
        assert_eq!(numbers(&index, "AMR", question), expected, "{question}");
    }
    assert_eq!(numbers(&index, "SG12", "statement"), [0; 0]);
}

#[test]
fn answers_join_the_thread_of_what_they_answer_and_bundles_are_one() {
    let mut answer = entry(20, "Re: a", "en", "x");
    answer.references = vec!["10@x.test".into()];
    let mut deep = entry(30, "Re: a", "en", "x");
    deep.references = vec!["lost@x.test".into(), "20@x.test".into()];
    let mut orphan = entry(40, "Re: b", "en", "x");
    orphan.references = vec!["50@x.test".into()];
    let late = entry(50, "b", "en", "x");
    let bundle = |number| Entry { bundle: Some("liaison:1".into()), kind: PostKind::Liaison, ..entry(number, "LS", "en", "x") };
    let (index, _folder) = filled(vec![entry(10, "a", "en", "x"), answer, deep, orphan, late, bundle(60), bundle(61)]);
    let group = code("AMR");
    let scope = Scope { group: &group, statements: true };
    let thread = |number| {
        let thread = index.thread_of(PostId(number)).unwrap().unwrap();
        index.thread(scope, thread, 50).unwrap().posts.iter().map(|post| post.0).collect::<Vec<_>>()
    };
    assert_eq!(thread(30), [10, 20, 30]);
    assert_eq!(thread(40), [40, 50]);
    assert_eq!(thread(60), [60, 61]);
    let newest: Vec<u64> = index.newest(scope, Some(PostId(50)), 3).unwrap().iter().map(|(post, _)| post.0).collect();
    assert_eq!(newest, [40, 30, 20]);
    let without = Scope { group: &group, statements: false };
    assert_eq!(index.newest(without, None, 1).unwrap()[0].0, PostId(50));
    assert_eq!(index.author_of(PostId(10)).unwrap().as_deref(), Some("Ana Example <ana@x.test>"));
}

#[test]
fn an_entry_replaces_itself_and_can_be_removed() {
    let (index, folder) = filled(vec![entry(1, "first", "en", "apple")]);
    index.add(vec![entry(1, "second", "en", "pear")]).unwrap();
    index.commit("two").unwrap();
    assert_eq!((numbers(&index, "AMR", "apple"), numbers(&index, "AMR", "pear")), (vec![], vec![1]));
    index.rest().unwrap();
    drop(index);
    let index = Index::open(folder.path()).unwrap();
    assert_eq!((index.note().unwrap().as_str(), index.len()), ("two", 1));
    index.remove(&[PostId(1)]).unwrap();
    index.commit("three").unwrap();
    assert!(index.is_empty() && !index.has(PostId(1)).unwrap());
}

#[test]
fn a_damaged_index_is_begun_anew() {
    let (index, folder) = filled(vec![entry(1, "first", "en", "apple")]);
    index.rest().unwrap();
    drop(index);
    let form = folder.path().join(format!("form-{FORM}"));
    let store = fs::read_dir(&form).unwrap().flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "store")).unwrap();
    let mut bytes = fs::read(&store).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&store, bytes).unwrap();
    let index = Index::open(folder.path()).unwrap();
    assert_eq!((index.note().unwrap(), index.len()), (String::new(), 0));
}
